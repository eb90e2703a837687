#pragma once
// The hub as a TAXII 2.1 server (OASIS TAXII 2.1): collections of what we know, what partners passed on, and one that each partner may
// write into. What we know follows the book of indicators by itself; what partners send is kept as it came, and their indicators go to the
// Library. Order is date_added, which is unique and never goes back: neither those who page by `next` nor those who come back with
// `added_after` lose or repeat an object.
// Life: opened after State and before its start(); use_library() before start() too. Thread rules: any thread but the State's writer.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/settings.hpp"
#include "event/tlp.hpp"
#include "exchange/peers/library.hpp"
#include "exchange/peers/views.hpp"
#include "exchange/stix/indicator.hpp"
#include "exchange/stix/object.hpp"
#include "store/state.hpp"

namespace bavn::exchange::taxii {

std::span<const Setting> taxii_settings();

struct Options {
  std::string name{};            // of the hub, for people
  std::size_t page = 100;        // objects of a page when nothing is asked
  std::size_t most_page = 1000;  // and at most
  std::size_t page_bytes = 8U << 20U;
  std::size_t most_content = 10U << 20U;  // bytes of one request
  std::size_t most_objects = 500'000;     // of one partner
  std::int64_t keep_days = 30;            // status resources, and what was withdrawn
  static Options from(const Settings& settings);
};

/// Who asks, and what it may have.
struct Caller {
  std::string who{};      // for the audit log
  std::int64_t peer = 0;  // 0: one of our own people
  std::string name{};     // of the peer
  bool may_read = false, may_write = false;
  event::Tlp ceiling = event::Tlp::clear;
  std::vector<std::string> kinds{};    // of observables; empty: all
  std::vector<std::string> sectors{};  // lower case
};

struct Collection {
  enum class What : std::uint8_t { known, passed_on, sent } what = What::known;
  std::string id{}, alias{}, title{}, description{};
  bool can_read = false, can_write = false;
  std::int64_t pool = 0;
  event::Tlp ceiling = event::Tlp::clear;
  std::string sector{};  // only what is marked for this one
};

/// What is asked of a collection.
struct Ask {
  Instant after{};  // strictly; 1970: from the beginning
  std::vector<std::string> ids{}, types{}, specs{};
  bool first = false, last = true, all = false;  // versions; with `at`: any of them
  std::vector<std::int64_t> at{};
  std::size_t limit = 100;
};

struct Entry {
  Instant added{};
  std::string id{}, version{}, spec{}, body{};
};
struct Page {
  std::vector<Entry> entries{};
  bool more = false;
  Instant reached{};  // the next page begins after this one
};

struct Posted {
  std::string status{};  // the status resource, JSON
  std::uint64_t failed = 0;
};

/// How one object that a partner sent fared.
struct Fate {
  std::string id, version, state, why;
};

class Taxii {
 public:
  static Result<std::unique_ptr<Taxii>> open(Runtime& runtime, store::State& state, Options options);
  /// Where indicators of partners go. Without one they are kept and wait.
  void use_library(std::shared_ptr<const Library> library);

  const Options& options() const { return options_; }
  const stix::Author& author() const { return author_; }
  /// Signs positions, so that only ours are believed.
  const std::string& secret() const { return secret_; }

  /// What this caller sees.
  Result<std::vector<Collection>> collections(const Caller& caller) const;
  /// By id or alias. not_found.
  Result<Collection> collection(const Caller& caller, std::string_view id) const;
  /// bodies: false for a manifest.
  Result<Page> page(const Caller& caller, const Collection& collection, const Ask& ask, bool bodies);
  /// Is the id in it at all, in any version?
  Result<bool> has(const Caller& caller, const Collection& collection, std::string_view id) const;

  /// bad_input: neither an envelope nor a bundle. What is inside is judged object by object: the status says how each fared.
  /// Repeating it changes nothing. at_once: objects of one envelope.
  Result<Posted> add(const Caller& caller, const Collection& collection, std::string_view envelope,
                     std::size_t at_once = 10'000);
  /// Where the objects of a partner are kept that we read, or that comes to us.
  static Collection kept_of(std::int64_t peer, std::string_view name);
  /// Versions as `ask` has them. not_found: there are none. What was published of them is withdrawn.
  Result<void> remove(const Caller& caller, const Collection& collection, std::string_view id, const Ask& ask);
  Result<std::string> status(const Caller& caller, std::string_view id) const;
  Result<std::vector<Fate>> fates(std::int64_t peer, std::string_view batch) const;

  /// Objects of the book that are not up to date, at most this many; how many there were. Done by itself when indicators change.
  Result<std::size_t> catch_up(std::size_t most);

  /// A warning went out, changed or ended. Done by itself when the outbox says so.
  Result<void> tell_warning(std::string_view id);
  /// Warnings as a STIX bundle, for `bavn export`: the same objects as over TAXII. Used while this lives.
  ExportView warnings_view() const;

 private:
  Taxii(Runtime& runtime, store::State& state, Options options)
      : runtime_(runtime), state_(state), options_(std::move(options)) {}
  Result<void> make_self();
  struct Batch;
  Result<void> keep(store::Tx& tx, const Caller& caller, std::int64_t pool, std::span<const stix::Object> objects,
                    Batch& batch);
  Result<void> publish(std::int64_t peer, std::string_view batch);
  Result<std::size_t> sync(store::Tx& tx, std::size_t most);

  Runtime& runtime_;
  store::State& state_;
  Options options_;
  stix::Author author_;
  std::string secret_;
  std::shared_ptr<const Library> library_;
};

}  // namespace bavn::exchange::taxii
