#pragma once
// How records of a format become facts (facts.hpp), as its format.yml declares under `facts:`. Data: what reads it is notice/fact_reader.hpp.
//
//   facts:
//     source: audit_log               # which log it is
//     by: Operation                   # the field whose value picks among the entries with `is`; absent: all are tried
//     take: { account: UserId }       # for every entry that has such a member
//     make:
//       - make: change
//         kind: consent
//         is: [Consent to application]
//         when: { ResultStatus: [Success, "True"] }   # each field has one of the values; "*": any that is not empty
//         any: [Permissions, Scope]                   # at least one of these has a value
//         unless: { Workload: [Yammer] }              # none of the fields has one of its values
//         take: { target: ObjectId, detail: { all: [Permissions, Scope] } }
//
// The first entry that fits a record makes its fact. A member takes the first of its fields that has a value; `all`: every value, as
// "field=value; ..." in a text; `is`: yes when a value is one of these; `contains`: yes when a value holds one of these;
// `values`: a value's meaning; `just`: always this. Comparisons ignore ASCII case.
//
// A mail that is told in several records has a `key` (a queue id) and a `join`: adds (remembered, no fact), tells (a fact, and remembered),
// fills (a fact, with what was remembered), ends (forgotten).
// Life: values, read once at start.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/facts.hpp"

namespace bavn::event {

enum class FactKind : std::uint8_t {
  mail,
  sign_in,
  change,
  harm,
  request,  // of a proxy: a click when its URL was in a mail
};
enum class FactJoin : std::uint8_t { none, adds, tells, fills, ends };

enum class FactMember : std::uint8_t {
  // mail
  sender,
  recipients,
  message_id,
  subject,
  delivery,
  urls,
  attachments,  // names
  hashes,       // sha256 of attachments, in the order of their names
  signed_by,
  list_id,
  failed_auth,
  automatic,
  calendar,
  knows_content,
  key,
  // who and where from
  account,
  ip,
  asn,
  country,
  user_agent,
  device,
  session,
  app,
  app_name,
  interactive,
  success,
  device_code,
  risk,
  // changes, harm, requests
  target,
  detail,
  url,
  host,  // of a request whose URL stands in two fields
};

struct FactTake {
  enum class How : std::uint8_t { first, all, is, contains, values, just };
  FactMember member = FactMember::account;
  How how = How::first;
  std::vector<std::string> fields;
  std::vector<std::pair<std::string, std::string>> values;  // values: text -> meaning; is, contains, just: first alone
};

using FactWhen = std::vector<std::pair<std::string, std::vector<std::string>>>;

struct FactMap {
  FactKind kind = FactKind::mail;
  FactSource source = FactSource::message_trace;
  FactJoin join = FactJoin::none;
  Change change = Change::consent;
  Harm harm = Harm::reported;
  std::vector<std::string> is;
  std::vector<std::string> any;
  FactWhen when, unless;
  std::vector<FactTake> take;
};

struct FactMaps {
  std::string by;
  std::vector<FactMap> maps;
  bool empty() const { return maps.empty(); }
};

/// Every field a format's maps read.
std::vector<std::string_view> fields_of(const FactMaps& maps);

std::optional<FactKind> parse_fact_kind(std::string_view s);
std::optional<FactSource> parse_fact_source(std::string_view s);
std::optional<FactJoin> parse_fact_join(std::string_view s);
std::optional<Change> parse_change(std::string_view s);
std::optional<Harm> parse_harm(std::string_view s);
std::optional<Delivery> parse_delivery(std::string_view s);
std::optional<FactMember> parse_fact_member(std::string_view s);
/// Has a fact of this kind that member?
bool has_member(FactKind kind, FactMember member);
/// The names, for suggestions.
std::span<const std::string_view> fact_member_names();
std::string_view to_string(FactKind k);
std::string_view to_string(FactSource s);
std::string_view to_string(Change c);
std::string_view to_string(Harm h);
std::string_view to_string(Delivery d);

/// One line of JSON without line end: for golden files and for people who ask what was read.
void append_json(std::string& out, const Fact& f);

}  // namespace bavn::event
