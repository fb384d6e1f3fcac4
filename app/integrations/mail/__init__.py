"""Mails: how they look and in which language they speak, and how they leave."""

from app.integrations.mail.messages import write_message
from app.integrations.mail.rendering import MailTemplates
from app.integrations.mail.sending import FileMailer, SmtpMailer, create_mailer

__all__ = ["FileMailer", "MailTemplates", "SmtpMailer", "create_mailer", "write_message"]
