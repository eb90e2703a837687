#include "input/sources/listening.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ssl.hpp>

namespace bavn::input::sources {

namespace asio = boost::asio;
using boost::system::error_code;

Result<Senders> Senders::of(const std::vector<std::string>& networks, const std::string& source) {
  Senders out;
  for (const std::string& network : networks) {
    auto cidr = event::parse_cidr(network);
    if (!cidr) {
      const auto ip = event::parse_ip(network);
      if (!ip) return fail(Code::bad_input, fmt::format("'{}' is no network; e.g. 192.0.2.0/24", network), source);
      cidr = event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
    }
    out.allow_.push_back(*cidr);
  }
  return out;
}

bool Senders::allowed(std::string_view address) const {
  if (allow_.empty()) return true;
  const auto ip = event::parse_ip(address);
  return ip && std::any_of(allow_.begin(), allow_.end(), [&](const event::Cidr& c) {
           return c.network.v6 == ip->v6 && event::masked(*ip, c.prefix) == c.network;
         });
}

Result<std::shared_ptr<asio::ssl::context>> tls_context(const ListenerTls& tls, const std::string& source) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code ec;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1,
                       ec);
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_TICKET);
  context->use_certificate_chain(asio::buffer(tls.certificate_pem), ec);
  if (ec) return fail(Code::bad_input, "the certificate cannot be used: " + ec.message(), source);
  context->use_private_key(asio::buffer(tls.key_pem), asio::ssl::context::pem, ec);
  if (ec) return fail(Code::bad_input, "the key cannot be used: " + ec.message(), source);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1)
    return fail(Code::bad_input, "the key is not that of the certificate", source);
  if (!tls.client_ca_pem.empty()) {
    context->add_certificate_authority(asio::buffer(tls.client_ca_pem), ec);
    if (ec) return fail(Code::bad_input, "the senders' CA cannot be used: " + ec.message(), source);
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, ec);
  }
  return context;
}

void append_line(std::string& out, std::string_view message) {
  const std::size_t last = message.find_last_not_of(std::string_view("\n\r\0", 3));
  if (last == std::string_view::npos) return;
  message = message.substr(0, last + 1);
  for (std::size_t nl = message.find('\n'); nl != std::string_view::npos; nl = message.find('\n')) {
    out.append(message.substr(0, nl)).append("#012");
    message.remove_prefix(nl + 1);
  }
  out.append(message) += '\n';
}

}  // namespace bavn::input::sources
