#pragma once
// What this node keeps of digests it told, and what it answers when the hub asks what one of them is. Automatic by default; "ask" asks a
// person and counts as no after ten minutes, with what that cost. Tables node_digest*, timer "digests.ask".
// Outbox: digest.asked, digest.declined (subject = municipality/request), digest.revealed.
// Life: after Runtime and State, before State::start(); gone after State::stop(). Thread rules: inside a Tx; list() on any Reader.
#include <boost/describe/class.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "notice/digester.hpp"
#include "notice/tell.hpp"
#include "store/retention.hpp"

namespace bavn::notice {

struct RevealOptions {
  bool ask = false;
  std::chrono::minutes wait{10};
  static RevealOptions from(const Settings& settings);  // of digest_settings()
};

/// One question of the hub, for people.
struct AskedReveal {
  std::string request, state;  // revealed, asked, declined, late (no answer in time), gone
  std::string kind, what;      // "evil.example/login/*", "*.html": as it would be shown
  std::string reason, who;
  std::int64_t asked_us = 0, answered_us = 0;
  std::int64_t mails = 0;        // here, when the hub asked
  std::int64_t mails_since = 0;  // what waiting, or a no, has let in since then
};
BOOST_DESCRIBE_STRUCT(AskedReveal, (),
                      (request, state, kind, what, reason, who, asked_us, answered_us, mails, mails_since))

class DigestReveals {
 public:
  static Result<std::unique_ptr<DigestReveals>> open(Runtime& runtime, store::State& state, Tell tell,
                                                     RevealOptions options);
  /// Rows of what was told, so that it can be revealed; then tells. The unit that Desk gives to `live`.
  Result<void> keep(store::Tx& tx, const DigestsOut& out);
  /// Entry "reveal" to this municipality. Once for each request.
  Result<void> take(store::Tx& tx, MunicipalityId of, std::string_view payload);
  /// A person's word. A late yes still counts until the hub stops waiting. not_found, conflict (answered already).
  Result<void> answer(store::Tx& tx, MunicipalityId of, std::string_view request, bool yes, std::string_view who);
  /// Newest first.
  static Result<std::vector<AskedReveal>> list(store::Reader& db, MunicipalityId of, std::int64_t limit = 100);
  static std::vector<store::RetentionRule> retention();

 private:
  DigestReveals(Runtime& runtime, Tell tell, RevealOptions options);
  Runtime& runtime_;
  Tell tell_;
  RevealOptions options_;
};

}  // namespace bavn::notice
