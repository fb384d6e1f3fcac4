"""Mails: how they look and in which language they speak, and how they leave."""

from app.integrations.mail.rendering import MailTemplates
from app.integrations.mail.sending import FileMailer, SmtpMailer, build_message, create_mailer

__all__ = ["FileMailer", "MailTemplates", "SmtpMailer", "build_message", "create_mailer"]
