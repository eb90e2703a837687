#pragma once
// Bulletins of experts and reports of suppliers: a text in up to three languages, what can be looked for in it with its places, and what a
// person decided about each. Confirmed ones become indicators (source "bulletin:ID") when the bulletin is published, and go when it is
// withdrawn. A draft is the joint CERT's alone; a published one is for who may read its TLP.
// Outbox: "bulletin.written", "bulletin.published", "bulletin.withdrawn" (subject = id).
// Life: after State. Thread rules: any thread but the State's writer.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "event/scope.hpp"
#include "exchange/peers/judge.hpp"
#include "store/state.hpp"

namespace bavn::jail {
class Parsers;
}

namespace bavn::exchange {

struct BulletinText {
  std::string title{}, markdown{};
};
struct NewBulletin {
  event::Tlp tlp = event::Tlp::green;
  std::string source{};
  std::map<std::string, BulletinText> texts{};  // da, nb, en; at least one
};

struct BulletinPlace {
  std::string language{};
  std::int64_t from = 0, to = 0;  // bytes of the Markdown
  std::string around{};
  std::optional<std::string> section{};  // of a report: "Page 3 of 12", or the attachment
};
struct BulletinFound {
  std::int64_t id = 0;
  std::string kind{}, value{};
  std::vector<BulletinPlace> places{};
  std::string state{}, action{};  // found, confirmed, refused
  std::int64_t confidence = 0;
  std::string decided_by{};
};
struct Bulletin {
  std::int64_t id = 0;
  std::string uuid{}, state{}, kind{}, source{}, file{};
  event::Tlp tlp = event::Tlp::red;
  std::int64_t version = 0;
  std::string written_by{};
  Instant written{};
  std::string published_by{};
  Instant published{};
  std::string withdrawn_why{};
  std::map<std::string, BulletinText> texts{};
  std::vector<BulletinFound> found{};
};

struct BulletinParts {
  Runtime& runtime;
  store::State& state;
  Limits limits{};
  std::function<Result<void>(const event::Scope&, std::vector<match::indicators::Indicator>, std::string_view name)>
      publish{};
  std::function<Result<std::uint64_t>(const event::Scope&, std::span<const match::indicators::Removal>)> withdraw{};
  NeverBlocked never_blocked{};
  jail::Parsers* parsers = nullptr;  // for reports as PDF and mail; null, or no texts: they are refused
  const Catalogue* texts = nullptr;
};

class Bulletins {
 public:
  explicit Bulletins(BulletinParts parts) : parts_(std::move(parts)) {}

  /// Newest first. state empty: all.
  Result<std::vector<Bulletin>> page(const event::Scope& scope, std::string_view state, std::int64_t before_id,
                                     std::size_t limit) const;
  Result<Bulletin> show(const event::Scope& scope, std::int64_t id) const;
  Result<std::int64_t> add(const event::Scope& scope, const NewBulletin& text);
  /// A report as a file: PDF, mail, text (report.hpp says what is refused, and `where` why). Waits for the jail.
  Result<std::int64_t> add_report(const event::Scope& scope, std::string_view bytes, std::string_view file,
                                  std::string_view source, event::Tlp tlp, std::string_view language);
  /// conflict with `where` "/version": somebody was faster; conflict: it is withdrawn.
  Result<void> change(const event::Scope& scope, std::int64_t id, const NewBulletin& text, std::int64_t version);

  struct Decision {
    std::vector<std::int64_t> confirm{}, refuse{};
    match::indicators::Action action = match::indicators::Action::warn;
    std::int64_t confidence = 80;
  };
  Result<void> decide(const event::Scope& scope, std::int64_t id, const Decision& decision);
  /// Again after a change: what is confirmed now goes out, what is no longer is withdrawn.
  Result<Taken> publish(const event::Scope& scope, std::int64_t id);
  Result<void> withdraw(const event::Scope& scope, std::int64_t id, std::string_view why);

  /// Published ones up to this TLP in a language (or else the first they have), newest first: a feed as of RFC 4287.
  Result<std::string> atom(event::Tlp ceiling, std::string_view language, std::string_view name,
                           std::string_view site) const;

 private:
  Result<void> may_change(const event::Scope& scope) const;
  Result<std::int64_t> write(store::Tx& tx, const event::Scope& scope, std::optional<std::int64_t> id,
                             const NewBulletin& text, std::string_view kind, std::string_view file) const;
  BulletinParts parts_;
};

/// The text of one language as HTML: Markdown of a bulletin, lines of a report. What it warns of is not clickable.
std::string html_of(const Bulletin& bulletin, const BulletinText& text);

}  // namespace bavn::exchange
