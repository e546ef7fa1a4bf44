"""What WhatsApp and Messenger share."""
