#include "app/mail_out.hpp"

#include "base/files.hpp"
#include "base/text.hpp"

namespace bavn::app {

namespace {

constexpr Setting kSettings[] = {
    {"notify.smtp_host",
     Unit::none,
     std::string_view(""),
     {0, 250},
     "Mail server for messages to duty contacts, best one outside the own tenant; empty: none.",
     Restart::yes},
    {"notify.smtp_port",
     Unit::none,
     std::int64_t{587},
     {1, 65535},
     "Its port: 465 speaks TLS at once, any other STARTTLS; no mail leaves in the clear.",
     Restart::yes},
    {"notify.smtp_from", Unit::none, std::string_view(""), {0, 250}, "The sender's address.", Restart::yes},
    {"notify.smtp_user", Unit::none, std::string_view(""), {0, 250}, "The login; empty: none.", Restart::yes},
    {"notify.smtp_password_file",
     Unit::none,
     std::string_view(""),
     {0, 1000},
     "File that holds the password of the login and nothing else.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> mail_settings() {
  return kSettings;
}

Result<std::unique_ptr<notify::MailCarrier>> mail_of(Runtime& runtime, const Settings& settings) {
  notify::SmtpOptions o;
  o.host = settings.text("notify.smtp_host");
  if (o.host.empty()) return std::unique_ptr<notify::MailCarrier>();
  o.port = static_cast<std::uint16_t>(settings.integer("notify.smtp_port"));
  o.tls = o.port == 465 ? notify::MailTls::tls : notify::MailTls::starttls;
  o.user = settings.text("notify.smtp_user");
  o.from = settings.text("notify.smtp_from");
  std::string password;
  if (const std::string& file = settings.text("notify.smtp_password_file"); !file.empty()) {
    DiskFiles files;
    BAVN_TRY(const std::string text, read_file(files, file, 4096));
    password = trim(text);
  }
  return notify::smtp_carrier(runtime, std::move(o), Secret<std::string>(std::move(password)));
}

}  // namespace bavn::app
