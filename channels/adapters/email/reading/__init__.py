"""Reading a mail without trust: charsets, headers, HTML, quotes, proof of the sender, mails of machines. All pure."""
