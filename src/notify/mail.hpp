#pragma once
// One mail out, and who carries it. The SMTP carrier speaks through libcurl on a queue of its own and answers with the server's last line.
// Thread rules: any thread. Life: after the Runtime, gone before it.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/runtime.hpp"
#include "base/secret.hpp"

namespace bavn::notify {

struct Mail {
  std::string to, subject, text;
  std::string id;         // becomes the Message-ID: the same at every attempt
  std::string headers{};  // more of them, "Name: value", one a line
};

class MailCarrier {
 public:
  virtual ~MailCarrier() = default;
  /// The server's answer ("250 2.0.0 Ok: queued as ..."), or unavailable with what went wrong. `then` is called on `queue`.
  virtual void send(Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) = 0;
};

enum class MailTls : std::uint8_t { none, starttls, tls };

struct SmtpOptions {
  std::string host;
  std::uint16_t port = 587;
  MailTls tls = MailTls::starttls;  // none only for a server on this machine
  std::string user, from;           // user may be empty: no login
  std::string ca_file;              // empty: the system's
  std::chrono::seconds timeout{60};
};

/// bad_input: no host, no sender's address, or a login that would travel in the clear.
Result<std::unique_ptr<MailCarrier>> smtp_carrier(Runtime& runtime, SmtpOptions options, Secret<std::string> password);

/// The mail as RFC 5322 text with CRLF line ends: UTF-8, base64, marked as automatic (RFC 3834).
std::string message_text(const Mail& mail, std::string_view from, Instant now);

}  // namespace bavn::notify
