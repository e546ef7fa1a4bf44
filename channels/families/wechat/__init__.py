"""What Official Accounts, mini programs and WeCom share."""
