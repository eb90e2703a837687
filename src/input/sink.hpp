#pragma once
// Where sources put what they read. A Sink is durable: its answer says what is on disk. The live node implements it (src/live); tests do.
// Thread rules: any thread; `done` is called once, on a thread of the sink, and must be short.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn::input {

/// Bytes of one source: whole lines (or whole records of a pretty-printed or enclosed form, when `format` says so).
struct Delivery {
  std::string source;  // name of the source as configured: "m365.signins", "file./var/log/mail.log", "http.firewall"
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;   // empty: recognised
  std::string context;  // what a reader needs before the lines (header lines of a TSV log)
  std::string id;  // the sender's id of this delivery; the same (source, id) within 24 h is stored once. Empty: none
  std::string bytes;
  /// Each line is one record, also where the bytes look like one document or an envelope; the receipt names the lines that were refused.
  bool line_is_record = false;
};

struct Refused {
  std::uint64_t count = 0;
  std::string first;  // "line 3: not JSON: ..."
};

/// accepted + refused = records offered, always.
struct Receipt {
  std::uint64_t accepted = 0, refused = 0;
  bool duplicate = false;                      // it was here before; nothing was stored again
  std::map<std::string, Refused> reasons;      // of refused
  Instant newest_happened{};                   // of the accepted; zero: none had a readable time
  std::vector<std::uint64_t> refused_lines{};  // of a delivery whose lines are records: from 1, ascending
};

class Sink {
 public:
  virtual ~Sink() = default;
  /// A hint, asked before bytes are read from the network: false means a delivery of this size would be refused now.
  virtual bool has_room(std::size_t bytes) const = 0;
  /// done(Receipt): durable. done(unavailable): full or failing, nothing of it was kept, offer it again. done(bad_input): never will be.
  virtual void deliver(Delivery delivery, std::move_only_function<void(Result<Receipt>)> done) = 0;
};

enum class SourceState { starting, working, waiting, failing, off };

/// What a source says about itself, shown on the status page. Counts of records come from the sink.
struct SourceReport {
  std::string source;
  SourceState state = SourceState::starting;
  std::string text;               // for people: what happened and what to do; empty when working
  Instant at{};                   // when it was said
  Instant last_success{};         // of a poll, a read, a connection
  std::int64_t lag_seconds = -1;  // measured: now - newest record at the origin when it arrived; -1 unknown
  std::string cursor;             // readable
};

/// Takes what sources say. Any thread.
class SourceBook {
 public:
  virtual ~SourceBook() = default;
  virtual void say(SourceReport report) = 0;
  /// What the source itself had to leave out before any Sink saw it: a datagram for which there was no room, a line beyond any limit.
  /// Records the Sink refused are in its Receipt and not told here. first: place and beginning of the first of them.
  virtual void refused(std::string_view /*source*/, std::string_view /*reason*/, std::uint64_t /*count*/,
                       std::string /*first*/) {}
};

}  // namespace bavn::input
