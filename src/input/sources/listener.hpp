#pragma once
// Sources that senders connect to (syslog, RELP): the sockets, and batches of what comes, delivered to the sink and offered again while it
// has no room. Under pressure TCP and TLS are not read, so that their senders wait; UDP drops and counts. What a connection's bytes mean is
// its Conversation's business. Senders that wait for an answer get it when the sink has said that their record is on disk: what arrives
// while one delivery is on its way goes with the next, so that many records share an fsync and a lone one does not wait. Without answers a
// batch goes each tick.
// Boost.Asio runs on one queue of the Runtime, inside the .cpp. Life: start() listens; the destructor takes what is on its way to the sink
// for up to two seconds, lets conversations say what they owe, and closes all connections. Thread rules: any thread.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"
#include "input/sources/listening.hpp"

namespace bavn::input::sources {

enum class Transport : std::uint8_t { udp, tcp, tls };

struct ListenerOptions {
  std::string name;  // of the source
  Transport transport = Transport::tcp;
  std::string address = "0.0.0.0";
  std::uint16_t port = 0;  // 0: any free one
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  bool per_sender =
      false;  // each address is a source of its own, "name/192.0.2.7"; at most max_senders, the rest is "name"
  std::size_t max_senders = 256;
  std::vector<std::string> allow;        // networks that may send; empty: all
  ListenerTls certificate;               // of tls
  std::size_t max_message = 64U << 10U;  // bytes
  std::size_t max_connections = 1000;
  std::size_t hold =
      8U << 20U;  // bytes waiting for the sink, and what their answers cost: then TCP is not read, UDP dropped
  std::size_t batch = 256U << 10U;
  Duration tick = std::chrono::milliseconds(200);
  Duration idle = std::chrono::hours(12);         // a connection without a byte
  Duration handshake = std::chrono::seconds(10);  // until the conversation is open, TLS included
};

using Ticket = std::uint64_t;  // of one message of a conversation

/// Where a conversation puts what it reads.
class Intake {
 public:
  virtual ~Intake() = default;
  /// False: line ends alone, there is nothing to keep and no answer comes.
  virtual bool message(Ticket ticket, std::string_view text) = 0;
  virtual void too_long(std::uint64_t n) = 0;
  /// Anything else that is left out; what: behind the sender's address.
  virtual void refused(std::string_view reason, std::uint64_t n, std::string_view what = {}) = 0;
};

/// The protocol on one connection, without sockets. The defaults are those of one that only listens.
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual void on_bytes(std::string_view bytes, Intake& to) = 0;
  /// The connection is gone: what stands without its end.
  virtual void on_closed(Intake&) {}
  /// Senders that wait for an answer: one of these for each message.
  virtual void stored(Ticket) {}
  virtual void passed_over(Ticket, std::string_view /*why*/) {}
  virtual void refused(Ticket, std::string_view /*why*/) {}
  /// No more is read. False: there is nothing to say, the connection closes at once.
  virtual bool close() { return false; }

  virtual std::string take_output() { return {}; }
  virtual std::size_t output_waiting() const { return 0; }
  virtual bool open() const { return true; }  // what it begins with is done
  virtual bool reading() const { return true; }
  virtual bool over() const { return false; }  // all is said
};

struct Protocol {
  std::string name;      // "relp": of its thread
  std::string way;       // "relp tls": in what is said of the source
  std::string too_slow;  // the reason that counts who never opens
  bool answers = false;  // senders wait for an answer; each line is one record
  std::function<std::unique_ptr<Conversation>()> begin;
};

class Listener {
 public:
  /// Errors: unavailable (the address is taken), forbidden (a port that needs a right), bad_input (certificate, address, network).
  static Result<std::unique_ptr<Listener>> start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                 ListenerOptions options, Protocol protocol);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const;
  std::size_t connections() const;
  /// New connections use it from now on.
  Result<void> replace_certificate(const std::string& certificate_pem, const std::string& key_pem);

 private:
  class Core;
  explicit Listener(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace bavn::input::sources
