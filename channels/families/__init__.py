"""What the adapters of one family share: WeChat, Meta, SMS, phones, speakers."""
