#pragma once
// "What left us": every item that left this node, word for word, and one line for every request it made to anybody. A line is on disk
// before its bytes leave; when it cannot be written, they do not leave. Tables left_item and left_request (schema folder "node").
// Thread rules: any thread. Life: after State, gone before it.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "net/client.hpp"
#include "store/state.hpp"

namespace bavn::beacon {

struct LeftItem {
  std::int64_t id = 0;
  std::string item;  // its id on the wire
  std::string kind;
  std::int64_t municipality = 0;
  std::string tlp;
  std::string text;                             // exactly what was in the batch, with its envelope
  std::string to;                               // host:port
  std::int64_t at_us = 0;                       // when it was about to leave for the first time
  std::optional<std::int64_t> acknowledged_us;  // the hub said it has it
  std::optional<std::string> refused;           // the hub has it and did not take it: why
};

struct LeftRequest {
  std::int64_t id = 0;
  std::int64_t at_us = 0;
  std::string purpose;             // "beacon", "microsoft365", "notify"
  std::string method, host, path;  // host with port; path without query
  std::int64_t bytes = 0;          // of method, URL, headers and body
  std::string body_hash;           // hex of BLAKE2b-256; empty: no body
};

class LeftUs {
 public:
  explicit LeftUs(store::State& state) : state_(state) {}

  /// Newest first, at most `limit`; before: ids below this (0: from the newest). forbidden without Right::left_us_read; only items of
  /// municipalities the scope sees. Requests are of the whole node: a scope must see all its municipalities' operator (sees_all) or
  /// have the right, which is given per node.
  Result<std::vector<LeftItem>> items(const event::Scope& scope, std::int64_t before = 0, unsigned limit = 100) const;
  Result<std::vector<LeftRequest>> requests(const event::Scope& scope, std::int64_t before = 0,
                                            unsigned limit = 100) const;
  /// One JSON object a line, oldest first, items then requests; `line` ends with a newline. Stops at its first error.
  Result<void> export_ndjson(const event::Scope& scope, Instant from, Instant until,
                             const std::function<Result<void>(std::string_view line)>& line) const;
  /// Retention class "left_us". Rows removed.
  Result<std::int64_t> forget(store::Tx& tx, Instant before) const;

  /// One line for something that is about to leave by another way than a net::Client (mail). It may leave when `then` says so.
  void note_request(LeftRequest line, std::move_only_function<void(Result<void>)> then) const;
  /// Everything sent through the result is noted here first. inner must outlive it.
  std::unique_ptr<net::Client> recording(net::Client& inner, std::string purpose);

 private:
  store::State& state_;
};

}  // namespace bavn::beacon
