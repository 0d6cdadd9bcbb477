"""Conversations: messages in, chunks out, the final message kept once."""
