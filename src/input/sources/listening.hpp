#pragma once
// What the sources that listen (syslog, RELP) share: who may send, the TLS of a listener, and a message as a line. No sockets.
// Life: values. Thread rules: none of their own.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/ip.hpp"

namespace boost::asio::ssl {
class context;
}

namespace bavn::input::sources {

/// Networks that may send; of none said, all.
class Senders {
 public:
  /// Errors: bad_input, an entry that is neither network nor address.
  static Result<Senders> of(const std::vector<std::string>& networks, const std::string& source);
  bool allowed(std::string_view address) const;

 private:
  std::vector<event::Cidr> allow_;
};

struct ListenerTls {
  std::string certificate_pem, key_pem;
  std::string client_ca_pem;  // not empty: senders must have a certificate of it
};

/// TLS 1.2 and later, without resumption: a resumed session would carry a sender's certificate past its end.
/// Errors: bad_input, with what cannot be used.
Result<std::shared_ptr<boost::asio::ssl::context>> tls_context(const ListenerTls& tls, const std::string& source);

/// What a datagram or frame holds as one line: the line end and zero bytes after it go (RFC 6587 section 3.4.2, RFC 3164 senders);
/// a line end inside becomes "#012" as rsyslog writes it, so that one message stays one line. All else is as received.
void append_line(std::string& out, std::string_view message);

}  // namespace bavn::input::sources
