#pragma once
// How a node follows the hub's streams, without I/O: what came in goes in (on_...), what is to be done comes out (take()). Checks the
// hub's statement, signatures, chains, dates and epochs; asks again for what is missing; stops for a fork.
// What it hands out to apply, in order, is to be applied in one Tx together with the cursors; on_applied() says how that went.
// Thread rules: one thread. Life: a value; made anew from Saved after a restart.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/runtime.hpp"
#include "beacon/head.hpp"
#include "net/client.hpp"

namespace bavn::beacon {

/// A hub key that the root certified.
struct CertifiedKey {
  PublicKey key;
  std::uint64_t epoch = 0;
  Instant not_before, not_after;
};
/// Reads a statement and checks it against the pinned root; forbidden when it is not the root's.
using CheckStatement = std::function<Result<CertifiedKey>(std::string_view statement)>;

struct Cursor {
  std::uint64_t epoch = 0, seq = 0;
  Hash hash{};  // of the head at seq
};

struct Position {
  std::uint64_t urgent = 0, bulk = 0;
  friend bool operator==(const Position&, const Position&) = default;
};
std::string to_string(Position p);  // "12.7", the SSE id
Result<Position> parse_position(std::string_view text);

/// Two things, both signed, that cannot both be true. known: the entry (or its head) we have; offered: what came.
struct Fork {
  std::string stream;
  std::uint64_t seq = 0;
  std::string known, offered, why;
};

/// What the node keeps of all this (tables beacon_cursor, beacon_node, beacon_evidence).
struct Saved {
  std::map<std::string, Cursor, std::less<>> cursors;
  Position position;
  std::uint64_t epoch = 0;  // highest seen
  std::optional<Fork> fork;
};

struct FollowerOptions {
  std::vector<MunicipalityId> municipalities;  // entries of urgent/<another> are refused
  CheckStatement check;
  std::function<std::optional<Hash>(std::string_view stream, std::uint64_t seq)>
      known_hash;  // of entries applied before
  Duration backoff_first = std::chrono::seconds{1}, backoff_most = std::chrono::seconds{60};
  std::size_t pending_bytes = 8U << 20U;  // of entries not yet applied; beyond, the stream is dropped until they are
  std::size_t apply_at_once = 64;
  std::size_t part_bytes = 1U << 20U;  // of one ranged request
};

// What to do.
struct Connect {
  Duration after{0};
  std::string last_event_id;
  std::string have;  // "urgent/all:12,bulk/all:7"
};
struct Disconnect {};
/// GET path with Range: bytes=from-(from+length-1). Its reply goes to on_part(id, ...).
struct Fetch {
  enum class Lane : std::uint8_t { segment, base } lane = Lane::segment;
  std::uint64_t id = 0;
  std::string path;
  std::uint64_t from = 0, length = 0;
  Duration after{0};
};
/// One step of what is applied. All of a vector of them in one Tx.
struct Step {
  enum class What : std::uint8_t {
    entry,     // hand it to its kind's handler
    segment,   // the items
    base,      // a new base file, and when `jump` the items and the cursor of its bulk stream
    skip,      // only the cursor moves: expired, or announced by an anchor
    evidence,  // nothing moves: keep entry and `why`
  } what = What::entry;
  Entry entry;
  std::vector<Item> items;
  std::string why;
  Position position;  // afterwards
  BaseRef base;
  std::string file;  // of base: where the verified file is
  bool jump = false;
  std::uint64_t missed = 0;  // of skip by an anchor
};
struct Apply {
  std::vector<Step> steps;
};
struct KeepFork {
  Fork fork;
};
/// A person settled it: the stream's cursor is this (nullopt: none); what was applied behind it is forgotten.
struct ForgetFork {
  std::string stream;
  std::optional<Cursor> cursor;
};
struct KeepEpoch {
  std::uint64_t epoch = 0;
};
/// Bytes of a base download: append to (from == 0: begin) the partial file, answer on_written().
struct WriteBase {
  std::uint64_t id = 0;  // of the work; comes back with the answer
  BaseRef base;
  std::uint64_t from = 0;
  std::string bytes;
};
/// Look whether the whole file is there already (shared folder, or our own), or how much of it; answer on_base_found().
struct FindBase {
  std::uint64_t id = 0;
  std::string audience;
  BaseRef base;
};
/// Check the hash of the partial file and move it into place; answer on_base_found() or its error.
struct FinishBase {
  std::uint64_t id = 0;
  std::string audience;
  BaseRef base;
};
using Action =
    std::variant<Connect, Disconnect, Fetch, Apply, KeepFork, ForgetFork, KeepEpoch, WriteBase, FindBase, FinishBase>;

enum class Following : std::uint8_t { off, connecting, catching_up, live, waiting, clock_trouble, forked };
std::string_view to_string(Following f);

struct FollowerStatus {
  Following state = Following::off;
  std::string text;  // for people: what is wrong and what to do; empty: nothing
  Position position;
  std::uint64_t epoch = 0;
  std::uint64_t applied = 0, duplicates = 0, refused = 0, gaps = 0, expired = 0, missed = 0, reconnects = 0;
  Instant last_heard{};
};

class Follower {
 public:
  Follower(FollowerOptions options, Saved saved, std::function<std::uint64_t(std::uint64_t below)> random);

  void start(Instant now);
  void stop();
  // The stream.
  void on_event(Instant now, const net::SseEvent& event);
  void on_end(Instant now, const Error& error);
  // Downloads.
  void on_part(Instant now, std::uint64_t fetch, Result<net::ClientReply> reply);
  struct Found {
    std::string file;           // not empty: whole, verified
    std::uint64_t partial = 0;  // else: so many bytes are there
  };
  void on_base_found(Instant now, std::uint64_t id, Result<Found> found);
  void on_written(Instant now, std::uint64_t id, Result<void> written);
  // The Tx.
  void on_applied(Instant now, Result<void> result);
  void on_tick(Instant now);
  /// Our clock minus the hub's, as it is now. Taken into account from the next call on.
  void on_offset(Duration offset) { offset_ = offset; }
  /// A person at the node decided to believe the hub from here on.
  void settle_fork(Instant now);

  std::vector<Action> take();
  FollowerStatus status() const;
  bool forked() const { return saved_.fork.has_value(); }

 private:
  enum class Phase : std::uint8_t {
    off,
    asked,
    open,
    draining
  };  // asked: Connect was handed out; open: hello was heard
  struct Waiting {
    Entry entry;
    Position position;
    std::size_t bytes = 0;
    bool anchor = false;
    std::uint64_t missed = 0;
  };
  /// Bytes named by a hash, fetched part by part; what is there stays when the connection goes.
  struct Download {
    std::string path;
    FileRef ref;
    std::string bytes;  // in memory: segments and items
    std::uint64_t done = 0;
    unsigned tries = 0;
    std::uint64_t asked = 0;  // id of the Fetch under way; 0: none
  };
  struct BaseWork {
    Entry entry;
    BaseRef ref;
    bool jump = false;
    std::uint64_t id = 0;
    bool looking = false;  // FindBase, WriteBase or FinishBase is under way
    bool looked = false;
    unsigned tries = 0;
    Download file, items;
    std::string file_name;  // not empty: whole, verified
    std::optional<std::vector<Item>> decoded;
    std::string bulk_stream;
    bool complete() const { return !file_name.empty() && (!jump || decoded); }
  };
  enum class Verdict : std::uint8_t { valid, expired, unsure };

  void on_hello(Instant now, std::string_view data);
  void on_entry(Instant now, const net::SseEvent& event);
  void accept(Instant now, Entry entry, Position position, bool anchor);
  void offer_base(Instant now, Entry entry);
  bool belongs(std::string_view stream) const;
  std::optional<Hash> known(std::string_view stream, std::uint64_t seq) const;
  void fork(std::string_view stream, std::uint64_t seq, const Entry& offered, std::string why);
  void refuse(Instant now, const std::string& why, const Entry* entry);
  void reconnect(Instant now, Following state, std::string why);
  void reset_tips();
  void proceed(Instant now);
  void take_urgent(Instant now, std::vector<Step>& steps);
  void take_bulk(Instant now, std::vector<Step>& steps);
  void take_base(std::vector<Step>& steps);
  void hand_out(std::vector<Step> steps);
  void fetch_segment(Instant now);
  void fetch(Fetch::Lane lane, Download& download, Duration after);
  Result<bool> took_part(Download& download, Result<net::ClientReply> reply, bool keep);
  void work_on_base(Duration after = Duration{0});
  Duration pause(unsigned tries);
  Verdict verdict(Instant now, const Head& head) const;
  std::string have() const;
  void say(Following state, std::string text);

  FollowerOptions options_;
  Saved saved_;
  std::function<std::uint64_t(std::uint64_t)> random_;
  std::vector<Action> actions_;
  FollowerStatus status_;

  Phase phase_ = Phase::off;
  unsigned failures_ = 0;
  std::map<std::uint64_t, CertifiedKey> keys_;       // of the last hello, by epoch
  std::map<std::string, Cursor, std::less<>> tips_;  // behind what was accepted, applied or not
  std::deque<Waiting> urgent_, bulk_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t last_fetch_ = 0;
  std::optional<Download> segment_;  // of bulk_.front()
  std::optional<std::pair<Hash, Result<std::vector<Item>>>> segment_items_;
  std::deque<BaseWork> bases_;
  std::vector<Step> evidence_, applying_;
  unsigned apply_failures_ = 0;
  Instant apply_again_{};
  std::optional<Duration> offset_;
};

}  // namespace bavn::beacon
