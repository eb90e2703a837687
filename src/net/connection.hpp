#pragma once
// Inside of Server: one connection as a state machine over a Transport, and what all connections share. No Boost here: the sockets are in
// server.cpp, the HTTP parser in connection.cpp, so that each heavy library is compiled once.
// Thread rules: everything on the I/O thread unless it says otherwise.
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>

#include "net/server.hpp"

namespace bavn::net {

using IoDone = std::move_only_function<void(bool ok, std::size_t bytes)>;

/// The bytes of one connection. What waits ends with ok = false when it is closed. Buffers are kept alive by the caller.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void handshake(std::move_only_function<void(bool ok, std::string reason)> then) = 0;
  virtual void read_some(std::span<char> into, IoDone then) = 0;
  virtual void write(std::string_view first, std::string_view second, IoDone then) = 0;
  virtual std::uint64_t written() const = 0;  // in all: to see progress inside a long write
  virtual void shut_sending() = 0;
  virtual void close() = 0;
  virtual const Peer& peer() const = 0;  // complete after the handshake
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void tick(Duration now) = 0;
  virtual void cut() = 0;
  virtual void finish_soon() = 0;  // the answer on its way is still given
  virtual const Peer& peer() const = 0;
};

/// Counts who is inside a handler, so that the server does not go while one runs. Any thread.
class Gate {
 public:
  bool enter();
  void leave();
  void close_and_wait();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

class ServerCore {
 public:
  ServerCore(Runtime& r, const Router& served, ServerOptions o);
  virtual ~ServerCore() = default;
  virtual void on_io(Task task) = 0;  // any thread

  /// Counted; logged at most every ten seconds for each reason.
  void refused(std::string_view reason, std::string_view address, std::string_view detail = {});
  Counter* counter(std::string_view name, std::string_view label = {});
  const std::string& date();  // RFC 9110 section 5.6.7
  bool is_revoked(const std::string& serial);

  Runtime& runtime;
  const Router& router;
  const ServerOptions options;
  Gate gate;
  std::atomic<std::size_t> bodies{0};  // bytes held by BodyHold
  std::unordered_set<std::shared_ptr<Connection>> connections;
  bool stopping = false;
  std::weak_ptr<ServerCore> self;
  Counter *requests = nullptr, *received = nullptr, *sent = nullptr;

 private:
  struct Said {
    Duration last{0};
    std::uint64_t since = 0;
    Counter* counter = nullptr;
  };
  std::map<std::string, Said, std::less<>> said_;
  std::string date_;
  std::int64_t date_of_ = -1;  // second
};

/// The memory of one body from its first byte until its handler has answered or returned, counted against ServerOptions::bodies.
/// Whoever has the answer finds the room free. Any thread; grow() only where the body is read.
class BodyHold {
 public:
  BodyHold() = default;
  BodyHold(BodyHold&& other) noexcept : core_(std::move(other.core_)), bytes_(other.bytes_.exchange(0)) {}
  BodyHold& operator=(BodyHold&&) = delete;
  ~BodyHold() { release(); }
  /// So many bytes from now on; false: all bodies together would be more than may be held. The only one may be of any size.
  bool grow(const std::shared_ptr<ServerCore>& core, std::size_t bytes);
  void release();

 private:
  std::shared_ptr<ServerCore> core_;
  std::atomic<std::size_t> bytes_ = 0;
};

std::shared_ptr<Connection> make_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport);

}  // namespace bavn::net
