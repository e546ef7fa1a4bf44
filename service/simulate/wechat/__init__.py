"""Official Accounts, mini programs and WeCom, played."""
