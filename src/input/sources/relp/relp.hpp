#pragma once
// RELP over TCP and TLS: a sender is answered when its record is on disk, so nothing is lost whatever dies on this side (records that were
// stored and not yet answered come twice: RELP has no ids). What arrives while one delivery is on its way to the sink goes with the next,
// so that many records share an fsync and a lone one does not wait. Too much unanswered, or a sink without room: the sockets are not read.
// Boost.Asio runs on one queue of the Runtime, inside the .cpp. Life: start() listens; the destructor answers what is on its way for up to
// two seconds, says serverclose and closes all connections. Thread rules: any thread.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"
#include "input/sources/listening.hpp"

namespace bavn::input::sources::relp {

struct RelpOptions {
  std::string name;  // of the source
  bool tls = false;
  std::string address = "0.0.0.0";
  std::uint16_t port = 2514;  // 0: any free one
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  bool per_sender =
      false;  // each address is a source of its own, "name/192.0.2.7"; at most max_senders, the rest is "name"
  std::size_t max_senders = 256;
  std::vector<std::string> allow;         // networks that may send; empty: all
  ListenerTls certificate;                // of tls
  std::size_t max_message = 128U << 10U;  // bytes; librelp sends at most 128 KiB unless told
  std::size_t max_connections = 1000;
  std::size_t hold = 8U << 20U;  // bytes unanswered, each record counted with what it costs: then nothing is read
  std::size_t batch = 256U << 10U;
  Duration tick = std::chrono::milliseconds(200);
  Duration idle = std::chrono::hours(12);         // a connection without a byte
  Duration handshake = std::chrono::seconds(10);  // TLS and open
};

class RelpSource {
 public:
  /// Errors: unavailable (the address is taken), forbidden (a port that needs a right), bad_input (certificate, address, network).
  static Result<std::unique_ptr<RelpSource>> start(Runtime& runtime, Sink& sink, SourceBook& book, RelpOptions options);
  ~RelpSource();
  RelpSource(const RelpSource&) = delete;
  RelpSource& operator=(const RelpSource&) = delete;

  std::uint16_t port() const;
  std::size_t connections() const;
  /// New connections use it from now on.
  Result<void> replace_certificate(const std::string& certificate_pem, const std::string& key_pem);

 private:
  class Core;
  explicit RelpSource(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace bavn::input::sources::relp
