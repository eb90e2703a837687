#pragma once
// Syslog over UDP, TCP and TLS (RFC 5424, 3164, 6587, 5425): the lines as they came, into the sink. Syslog has no acknowledgement: what a
// sender gave away and the sink has not yet answered is lost with the process (at most `hold` bytes and 200 ms); who cannot bear that
// sends over HTTP. Under pressure TCP and TLS stop reading, so that their senders wait; UDP drops and counts.
// Boost.Asio runs on one queue of the Runtime, inside the .cpp. Life: start() listens; the destructor closes all connections and waits
// up to two seconds for what is on its way. Thread rules: any thread.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"

namespace bavn::input::sources::syslog {

enum class Transport : std::uint8_t { udp, tcp, tls };

struct SyslogOptions {
  std::string name;  // of the source
  Transport transport = Transport::udp;
  std::string address = "0.0.0.0";
  std::uint16_t port = 514;  // 0: any free one
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  bool per_sender =
      false;  // each address is a source of its own, "name/192.0.2.7"; at most max_senders, the rest is "name"
  std::size_t max_senders = 256;
  std::vector<std::string> allow;        // networks that may send; empty: all
  std::string certificate_pem, key_pem;  // of tls
  std::string client_ca_pem;             // not empty: senders must have a certificate of it
  std::size_t max_message = 64U << 10U;  // bytes
  std::size_t max_connections = 1000;
  std::size_t hold = 8U << 20U;  // bytes waiting for the sink: then TCP is not read, and UDP dropped
  std::size_t batch = 256U << 10U;
  Duration flush = std::chrono::milliseconds(200);
  Duration idle = std::chrono::hours(12);  // a connection without a byte
  Duration handshake = std::chrono::seconds(10);
};

class SyslogSource {
 public:
  /// Errors: unavailable (the address is taken), forbidden (a port that needs a right), bad_input (certificate, address, network).
  static Result<std::unique_ptr<SyslogSource>> start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                     SyslogOptions options);
  ~SyslogSource();
  SyslogSource(const SyslogSource&) = delete;
  SyslogSource& operator=(const SyslogSource&) = delete;

  std::uint16_t port() const;
  std::size_t connections() const;
  /// New connections use it from now on.
  Result<void> replace_certificate(const std::string& certificate_pem, const std::string& key_pem);

 private:
  class Core;
  explicit SyslogSource(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace bavn::input::sources::syslog
