"""What chats that speak our own protocol share (the web chat, the app): messages, sockets, streams, receipts, uploads, events."""
