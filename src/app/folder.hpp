#pragma once
// The data folder of a running hub or node: who holds it (one process at a time), where its things lie, and how the command line
// reaches the process that holds it. Layout:
//   lock            held while a process runs here; its number inside
//   state.db        tables (store::State)        history/   records (node)        beacon/   segments and bases of the streams
//   keys/           private keys, 0700           settings.toml, sources.toml, mandate.toml
//   run/control     address and key of the control interface, 0600, made at each start       run/alive   touched every 2 s
//   run/web         where the web pages are, while a process runs here that has some
// Life: Folder::hold keeps the lock until destroyed. Thread rules: any thread.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "net/client.hpp"

namespace bavn::app {

struct ControlAddress {
  std::string url;  // http://127.0.0.1:40123
  std::string key;  // bearer token of the local owner
};

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }

  class Held {
   public:
    explicit Held(int fd) : fd_(fd) {}
    ~Held();
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    int fd_;
  };
  /// conflict when another process holds it (with its number). create: makes the folder, mode 0700.
  Result<std::unique_ptr<Held>> hold(bool create) const;
  /// The process that holds it; empty: nobody does.
  std::optional<int> holder() const;

  Result<void> write_control(const ControlAddress& control) const;
  Result<ControlAddress> control() const;  // not_found: nothing runs here
  /// Where the pages of the process that holds it are; empty: it has none.
  Result<void> write_web(std::string_view url) const;
  std::string web() const;  // empty: nothing runs here, or it has no pages
  void touch_alive() const;
  /// Seconds since touch_alive() of the process that holds it; empty: never.
  std::optional<double> silent_for() const;

 private:
  std::string path_;
};

/// 32 random bytes as text, for keys that live as long as a process.
std::string random_key(Runtime& runtime);
/// Compares without telling by its time where they differ.
bool same_secret(std::string_view a, std::string_view b);

/// One request and its answer; waits. Not on a queue of the client.
Result<net::ClientReply> call(Runtime& runtime, net::Client& client, net::ClientRequest request);
/// The same to the process that holds the folder, as its owner. An answer that is no 2xx is an Error with the problem's text.
Result<std::string> call_control(const Folder& folder, net::Method method, std::string_view path_and_query,
                                 std::string body = {});

}  // namespace bavn::app
