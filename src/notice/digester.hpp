#pragma once
// Notices what this node has never seen in 90 days, URL skeletons and active attachments, and makes keyed digests of it for the hub.
//   feed() facts -> take() what is to be told and kept, once each. No I/O: the same facts and keys give the same out.
// Left out: aligned bulk senders known for 14 days, links to meeting hosts in calendar mail, automatic mail (registered exercises never come
// here); but never what a member's person mailbox sent or somebody reported. Mail that was not delivered is neither told nor learnt.
// docs/digests.md.
// Life: after Community and HostLists. Thread rules: one thread.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aead.hpp"
#include "base/settings.hpp"
#include "event/facts.hpp"
#include "event/notices.hpp"
#include "notice/community.hpp"
#include "notice/digest_keyring.hpp"
#include "notice/digest_memory.hpp"
#include "notice/digest_skeleton.hpp"

namespace bavn::notice {

std::span<const Setting> digest_settings();

struct DigestOptions {
  bool on = true;
  std::int64_t novel_days = 90, learn_hours = 72, bulk_days = 14, bulk_mails = 50, young_host_days = 14;
  std::int64_t per_day = 20'000;
  std::int64_t remembered = 1'000'000;  // things in the memory
  std::int64_t fresh = 20'000;          // novel things that are still followed
  std::chrono::hours follow{48};
  static DigestOptions from(const Settings& settings);
};

/// What is kept of a novel thing at the node, so that it can be revealed: no more than may be shown.
struct DigestThing {
  std::uint64_t thing = 0;
  MunicipalityId municipality{};
  event::Revealed shown;  // kind, scheme, host, path, file_name, sha256, sender_domains; the rest empty
  std::int64_t first_us = 0, last_us = 0, mails = 0;
  std::vector<std::pair<std::int64_t, std::string>> digests;  // epoch, hex; those that are new
};

struct DigestsOut {
  struct ToTell {
    MunicipalityId municipality{};
    event::DigestBatch batch;
  };
  struct Harmless {
    MunicipalityId municipality{};
    event::HarmlessList list;
  };
  std::vector<ToTell> tell;         // reports "digest"
  std::vector<Harmless> harmless;   // reports "harmless"
  std::vector<DigestThing> things;  // rows: DigestReveals::keep
  bool empty() const { return tell.empty() && harmless.empty() && things.empty(); }
};

struct DigestCounts {
  std::uint64_t mails = 0, things = 0, novel = 0, told = 0, left_out_limit = 0, left_out_full = 0;
  std::uint64_t bulk = 0, calendar = 0, automatic = 0, not_delivered = 0, learning = 0, not_public = 0;
  std::uint64_t without_key = 0;  // things that wait for a key
};

class Digester {
 public:
  using KeysNow = std::function<std::shared_ptr<const EpochKeys>()>;
  /// hash_key: the node's own, made once and saved; what the memory holds is worth nothing without it.
  Digester(std::shared_ptr<const Community> community, std::shared_ptr<const HostLists> lists, KeysNow keys,
           DigestOptions options, Key hash_key);
  ~Digester();

  void feed(const event::MailFact& mail, Instant received);
  /// What somebody reported is told though it was left out.
  void harm(const event::HarmFact& harm, Instant received);
  void use_community(std::shared_ptr<const Community> community);
  /// Entry "harmless" from the hub: the whole list. bad_input, with the reason.
  Result<void> use_harmless(std::string_view payload);

  /// What is to be told and kept since the last call. Digests are made with the keys in force at `now`; without any, things wait.
  DigestsOut take(Instant now);
  bool waiting() const;  // take() would give something

  /// The digest of the newest epoch told for what this harm is about (its link, else its mail); empty: not one of the things followed.
  std::string digest_of(const event::HarmFact& harm) const;

  const DigestCounts& counts() const;
  const NoveltyMemory& memory() const;
  std::size_t bytes() const;  // of memory, about
  void save(std::string& into) const;
  /// corrupt: nothing was changed.
  Result<void> load(std::string_view saved);
  Duration looks_back() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::notice
