#include "tenants/directory.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "tenants/access.hpp"
#include "tenants/code.hpp"

namespace bavn::tenants {

struct OperatorRow {
  OperatorId id;
  std::string name;
};
BOOST_DESCRIBE_STRUCT(OperatorRow, (), (id, name))

struct MemberRow {
  MunicipalityId municipality;
  OperatorId operator_;
  Instant since_us;
  std::optional<Instant> left_at_us;
};
BOOST_DESCRIBE_STRUCT(MemberRow, (), (municipality, operator_, since_us, left_at_us))

struct NodeRow {
  NodeId id;
  OperatorId by;
  std::string name, form;
  std::optional<std::string> sign_key;
  std::optional<Instant> enrolled_at_us, last_seen_us;
  std::optional<std::int64_t> clock_offset_us;
  std::optional<Instant> retired_at_us;
};
BOOST_DESCRIBE_STRUCT(NodeRow, (),
                      (id, by, name, form, sign_key, enrolled_at_us, last_seen_us, clock_offset_us, retired_at_us))

struct CodeRow {
  std::int64_t id;
  NodeId node;
  Instant expires_at_us;
  std::optional<Instant> used_at_us;
  std::optional<std::string> used_for;
  std::optional<Instant> withdrawn_at_us;
};
BOOST_DESCRIBE_STRUCT(CodeRow, (), (id, node, expires_at_us, used_at_us, used_for, withdrawn_at_us))

struct CertificateRow {
  std::string serial;
  NodeId node;
  std::string public_key, pem;
  Instant not_after_us;
  std::optional<Instant> revoked_at_us;
};
BOOST_DESCRIBE_STRUCT(CertificateRow, (), (serial, node, public_key, pem, not_after_us, revoked_at_us))

namespace {

using event::Right;

constexpr std::string_view kNodes =
    "SELECT id, operator AS \"by\", name, form, sign_key, enrolled_at_us, last_seen_us, clock_offset_us, retired_at_us "
    "FROM node ";
constexpr std::string_view kCertificates =
    "SELECT serial, node, public_key, pem, not_after_us, revoked_at_us FROM certificate ";

// Certificates begin before they were made: the node's clock may be behind.
constexpr std::chrono::hours kBackdated{1};
constexpr std::size_t kMaxAddresses = 10'000;  // of wrong guesses remembered

std::string sql(std::string_view select, std::string_view rest) {
  return std::string(select).append(rest);
}

std::string subject(NodeId node) {
  return fmt::format("node:{}", node.value);
}

std::string detail(std::initializer_list<std::pair<std::string_view, std::string_view>> facts) {
  std::string out;
  JsonWriter w(out);
  w.object();
  for (const auto& [name, value] : facts) w.member(name, value);
  w.end();
  return out;
}

Result<std::string> a_name(std::string_view text, std::string_view what) {
  const auto name = trim(text);
  if (name.empty() || name.size() > 100 || !is_valid_utf8(name) ||
      std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return fail(Code::bad_input, fmt::format("{} must be one line of 1 to 100 bytes", what));
  return std::string(name);
}

Result<std::vector<MunicipalityId>> municipalities_of(store::Reader& db, NodeId node) {
  return db.all<MunicipalityId>("SELECT municipality FROM node_municipality WHERE node = :n ORDER BY municipality",
                                {{"n", node}});
}

Result<NodeRow> node_row(store::Reader& db, NodeId id) {
  BAVN_TRY(const auto row, db.one<NodeRow>(sql(kNodes, "WHERE id = :id"), {{"id", id}}));
  if (!row) return fail(Code::not_found, fmt::format("there is no node {}", id.value));
  return *row;
}

Result<Node> whole(store::Reader& db, const NodeRow& row, Instant now) {
  const auto form = form_of(row.form);
  if (!form) return fail(Code::corrupt, fmt::format("node {} has the unknown form \"{}\"", row.id.value, row.form));
  Node node;
  node.id = row.id;
  node.by = row.by;
  node.name = row.name;
  node.form = *form;
  BAVN_TRY(node.municipalities, municipalities_of(db, row.id));
  node.sign_key = row.sign_key;
  node.enrolled = row.enrolled_at_us;
  node.last_seen = row.last_seen_us;
  node.clock_offset_us = row.clock_offset_us;
  BAVN_TRY(const auto newest,
           db.one<CertificateRow>(
               sql(kCertificates, "WHERE node = :n ORDER BY issued_at_us DESC, not_after_us DESC, serial LIMIT 1"),
               {{"n", row.id}}));
  if (newest) {
    node.serial = newest->serial;
    node.certificate_until = newest->not_after_us;
  }
  node.state = row.retired_at_us             ? NodeState::retired
               : !newest                     ? NodeState::waiting
               : newest->revoked_at_us       ? NodeState::revoked
               : newest->not_after_us <= now ? NodeState::expired
                                             : NodeState::enrolled;
  return node;
}

bool sees_any(const event::Scope& scope, const std::vector<MunicipalityId>& of) {
  return std::any_of(of.begin(), of.end(), [&](MunicipalityId m) { return scope.sees(m); });
}
bool sees_every(const event::Scope& scope, const std::vector<MunicipalityId>& of) {
  return std::all_of(of.begin(), of.end(), [&](MunicipalityId m) { return scope.sees(m); });
}

/// Whoever may not see all of a node's municipalities may not change it, and learns nothing by trying.
Result<void> may_change(store::Reader& db, const event::Scope& scope, NodeId node) {
  BAVN_TRY(const auto of, municipalities_of(db, node));
  if (!sees_every(scope, of) || (of.empty() && !scope.sees_all()))
    return fail(Code::not_found, fmt::format("there is no node {}", node.value));
  return {};
}

}  // namespace

std::string_view to_string(Form form) {
  switch (form) {
    case Form::guest: return "guest";
    case Form::package: return "package";
    case Form::vm: return "vm";
  }
  return "package";
}
std::optional<Form> form_of(std::string_view name) {
  for (const auto form : {Form::guest, Form::package, Form::vm})
    if (to_string(form) == name) return form;
  return std::nullopt;
}
std::string_view to_string(NodeState state) {
  switch (state) {
    case NodeState::waiting: return "waiting";
    case NodeState::enrolled: return "enrolled";
    case NodeState::expired: return "expired";
    case NodeState::revoked: return "revoked";
    case NodeState::retired: return "retired";
  }
  return "waiting";
}

Result<std::unique_ptr<Directory>> Directory::open(Runtime& runtime, store::State& state, const Trust& trust,
                                                   DirectoryOptions options) {
  std::unique_ptr<Directory> directory(new Directory(runtime, state, trust, options));
  BAVN_CHECK(directory->reload());
  return directory;
}

Result<void> Directory::reload() {
  auto known = state_.read([&](store::Reader& db) -> Result<std::map<std::string, Known, std::less<>>> {
    std::map<std::string, Known, std::less<>> all;
    std::map<NodeId, std::vector<MunicipalityId>> of;
    // Those that ended a while ago are remembered a little longer, so that a node is told "expired" and not "unknown".
    BAVN_CHECK(db.each<CertificateRow>(
        sql(kCertificates, "WHERE not_after_us > :since"), {{"since", runtime_.now() - std::chrono::days{90}}},
        [&](CertificateRow row) -> Result<void> {
          all[row.serial] = {row.node, {}, row.not_after_us, row.revoked_at_us.has_value()};
          return {};
        }));
    for (auto& [serial, entry] : all) {
      auto found = of.find(entry.node);
      if (found == of.end()) {
        BAVN_TRY(auto municipalities, municipalities_of(db, entry.node));
        found = of.emplace(entry.node, std::move(municipalities)).first;
      }
      entry.municipalities = found->second;
    }
    return all;
  });
  if (!known) return std::unexpected(known.error());
  known_.with([&](auto& k) { k = std::move(*known); });
  return {};
}

Result<void> Directory::after_change(const std::vector<std::string>& cut) {
  BAVN_CHECK(reload());
  const auto f = on_revoked_.with([](const auto& g) { return g; });
  if (f)
    for (const auto& serial : cut) f(serial);
  return {};
}

void Directory::on_revoked(std::function<void(const std::string& serial)> f) {
  on_revoked_.with([&](auto& g) { g = std::move(f); });
}

Result<std::string> Directory::code_inside(store::Tx& tx, const event::Scope& scope, NodeId node, std::string_view hub,
                                           Instant expires) {
  if (expires <= tx.now()) return fail(Code::bad_input, "a code must be valid for some time");
  EnrolmentCode code{to_lower(trim(hub)), trust_.root().fingerprint(), std::string(16, '\0')};
  runtime_.random(std::as_writable_bytes(std::span(code.secret)));
  // A hub that a code cannot hold would be found out only by the node.
  const std::string text = code.text();
  if (const auto again = EnrolmentCode::parse(text); !again || again->hub != code.hub)
    return fail(Code::bad_input,
                fmt::format("\"{}\" is not an address of the form host:port under which nodes reach the hub", hub));
  BAVN_CHECK(
      tx.exec("UPDATE enrolment_code SET withdrawn_at_us = :now WHERE node = :n AND used_at_us IS NULL AND "
              "withdrawn_at_us IS NULL",
              {{"now", tx.now()}, {"n", node}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO enrolment_code (node, digest, made_by, made_at_us, expires_at_us) VALUES (:n, :digest, "
              ":who, :now, :expires)",
              {{"n", node},
               {"digest", store::Blob{EnrolmentCode::digest(code.secret)}},
               {"who", scope.who()},
               {"now", tx.now()},
               {"expires", expires}}));
  BAVN_CHECK(tx.audit({scope.who(), "code.made", subject(node), detail({{"expires", format_time(expires)}})}));
  return text;
}

Result<NewCode> Directory::admit(const event::Scope& scope, const Admission& admission, std::string_view hub,
                                 std::chrono::hours valid) {
  BAVN_CHECK(require(scope, Right::tenants_write, "admit municipalities"));
  if (admission.municipalities.empty()) return fail(Code::bad_input, "which municipality? Give at least one");
  if (std::set(admission.municipalities.begin(), admission.municipalities.end()).size() !=
      admission.municipalities.size())
    return fail(Code::bad_input, "a municipality is named twice");
  for (const auto id : admission.municipalities)
    if (municipalities_.find(id) == nullptr)
      return fail(Code::not_found, fmt::format("no municipality of Denmark or Norway has the code {}", id.value));
  if (!sees_every(scope, admission.municipalities)) return fail(Code::not_found, "there is no such municipality here");
  if (admission.municipalities.size() > 1 && trim(admission.by).empty())
    return fail(Code::bad_input, "a node for several municipalities needs the name of its operator");
  const auto& first = municipalities_.find(admission.municipalities.front())->name;
  BAVN_TRY(const auto by, a_name(trim(admission.by).empty() ? first : admission.by, "the operator's name"));
  BAVN_TRY(const auto name, a_name(trim(admission.node).empty() ? first : admission.node, "the node's name"));

  NewCode made;
  made.expires = runtime_.now() + valid;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO operator (name, created_at_us) VALUES (:name, :now) ON CONFLICT (name) DO NOTHING",
                       {{"name", by}, {"now", tx.now()}}));
    BAVN_TRY(const auto operator_id, tx.one<OperatorId>("SELECT id FROM operator WHERE name = :name", {{"name", by}}));
    BAVN_TRY(const auto taken, tx.one<NodeId>("SELECT id FROM node WHERE name = :name", {{"name", name}}));
    if (taken)
      return fail(Code::conflict,
                  fmt::format("there is a node called \"{}\" (number {}); another code for it: bavn hub code {}", name,
                              taken->value, taken->value));
    for (const auto m : admission.municipalities) {
      BAVN_TRY(
          const auto member,
          tx.one<MemberRow>(
              "SELECT municipality, operator AS operator_, since_us, left_at_us FROM member WHERE municipality = :m",
              {{"m", m}}));
      if (member && !member->left_at_us && member->operator_ != *operator_id) {
        BAVN_TRY(const auto other,
                 tx.one<std::string>("SELECT name FROM operator WHERE id = :id", {{"id", member->operator_}}));
        return fail(Code::conflict,
                    fmt::format("{} is served by {} already; to change the operator it leaves first: bavn hub "
                                "municipality remove {}",
                                municipalities_.find(m)->name, other.value_or("?"), m.value));
      }
      BAVN_CHECK(
          tx.exec("INSERT INTO member (municipality, operator, since_us) VALUES (:m, :o, :now) ON CONFLICT "
                  "(municipality) DO UPDATE SET "
                  "operator = excluded.operator, since_us = CASE WHEN left_at_us IS NULL THEN since_us ELSE "
                  "excluded.since_us END, "
                  "left_at_us = NULL",
                  {{"m", m}, {"o", *operator_id}, {"now", tx.now()}}));
    }
    BAVN_CHECK(tx.exec("INSERT INTO node (operator, name, form, created_at_us) VALUES (:o, :name, :form, :now)",
                       {{"o", *operator_id}, {"name", name}, {"form", to_string(admission.form)}, {"now", tx.now()}}));
    made.node.value = static_cast<std::uint64_t>(tx.last_id());
    for (const auto m : admission.municipalities) {
      BAVN_CHECK(
          tx.exec("INSERT INTO node_municipality (node, municipality) VALUES (:n, :m)", {{"n", made.node}, {"m", m}}));
      BAVN_CHECK(tx.emit("node.admitted", subject(made.node), "{}", m));
    }
    std::vector<std::uint16_t> codes;
    for (const auto m : admission.municipalities) codes.push_back(m.value);
    BAVN_CHECK(tx.audit({scope.who(), "node.admitted", subject(made.node),
                         fmt::format("{{\"municipalities\":[{}],\"form\":\"{}\"}}", fmt::join(codes, ","),
                                     to_string(admission.form))}));
    BAVN_TRY(made.code, code_inside(tx, scope, made.node, hub, made.expires));
    return {};
  }));
  return made;
}

Result<NewCode> Directory::new_code(const event::Scope& scope, NodeId node, std::string_view hub,
                                    std::chrono::hours valid) {
  BAVN_CHECK(require(scope, Right::tenants_write, "make enrolment codes"));
  NewCode made{node, {}, runtime_.now() + valid};
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(may_change(tx, scope, node));
    BAVN_TRY(const auto row, node_row(tx, node));
    if (row.retired_at_us)
      return fail(Code::conflict, fmt::format("the node {} is retired: its municipality left", row.name));
    BAVN_TRY(made.code, code_inside(tx, scope, node, hub, made.expires));
    return {};
  }));
  return made;
}

Result<void> Directory::withdraw_codes(const event::Scope& scope, NodeId node) {
  BAVN_CHECK(require(scope, Right::tenants_write, "withdraw enrolment codes"));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(may_change(tx, scope, node));
    BAVN_TRY(const auto n, tx.exec("UPDATE enrolment_code SET withdrawn_at_us = :now WHERE node = :n AND used_at_us IS "
                                   "NULL AND withdrawn_at_us IS NULL",
                                   {{"now", tx.now()}, {"n", node}}));
    if (n == 0) return fail(Code::not_found, fmt::format("node {} has no unused code", node.value));
    return tx.audit({scope.who(), "code.withdrawn", subject(node), "{}"});
  });
}

Result<void> Directory::revoke_inside(store::Tx& tx, const event::Scope& scope, NodeId node, std::string_view why,
                                      std::vector<std::string>& cut) {
  BAVN_TRY(
      const auto serials,
      tx.all<std::string>("SELECT serial FROM certificate WHERE node = :n AND revoked_at_us IS NULL", {{"n", node}}));
  for (const auto& serial : serials) {
    BAVN_CHECK(tx.exec("UPDATE certificate SET revoked_at_us = :now, revoked_why = :why WHERE serial = :s",
                       {{"now", tx.now()}, {"why", why}, {"s", serial}}));
    BAVN_CHECK(tx.emit("certificate.revoked", serial, detail({{"node", subject(node)}})));
    cut.push_back(serial);
  }
  BAVN_CHECK(
      tx.exec("UPDATE enrolment_code SET withdrawn_at_us = :now WHERE node = :n AND used_at_us IS NULL AND "
              "withdrawn_at_us IS NULL",
              {{"now", tx.now()}, {"n", node}}));
  return tx.audit({scope.who(), "node.revoked", subject(node), detail({{"why", why}})});
}

Result<void> Directory::leave(const event::Scope& scope, MunicipalityId municipality, std::string_view why) {
  BAVN_CHECK(require(scope, Right::tenants_write, municipality, "remove municipalities"));
  std::vector<std::string> cut;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.exec("UPDATE member SET left_at_us = :now WHERE municipality = :m AND left_at_us IS NULL",
                                   {{"now", tx.now()}, {"m", municipality}}));
    if (n == 0) return fail(Code::not_found, fmt::format("municipality {} is no member", municipality.value));
    BAVN_TRY(const auto nodes,
             tx.all<NodeId>("SELECT node FROM node_municipality WHERE municipality = :m", {{"m", municipality}}));
    for (const auto node : nodes) {
      BAVN_TRY(const auto of, municipalities_of(tx, node));
      if (of.size() > 1) {
        BAVN_CHECK(tx.exec("DELETE FROM node_municipality WHERE node = :n AND municipality = :m",
                           {{"n", node}, {"m", municipality}}));
        continue;
      }
      BAVN_CHECK(revoke_inside(tx, scope, node, why, cut));
      BAVN_CHECK(
          tx.exec("UPDATE node SET retired_at_us = :now, name = name || ' (' || id || ')' WHERE id = :n AND "
                  "retired_at_us IS NULL",
                  {{"now", tx.now()}, {"n", node}}));
    }
    BAVN_CHECK(tx.emit("member.left", fmt::format("municipality:{}", municipality.value), "{}", municipality));
    return tx.audit(
        {scope.who(), "member.left", fmt::format("municipality:{}", municipality.value), detail({{"why", why}})});
  }));
  return after_change(cut);
}

Result<void> Directory::revoke_node(const event::Scope& scope, NodeId node, std::string_view why) {
  BAVN_CHECK(require(scope, Right::tenants_write, "revoke nodes"));
  std::vector<std::string> cut;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(may_change(tx, scope, node));
    BAVN_CHECK(node_row(tx, node));
    return revoke_inside(tx, scope, node, why, cut);
  }));
  return after_change(cut);
}

Result<void> Directory::revoke_certificate(const event::Scope& scope, const std::string& serial, std::string_view why) {
  BAVN_CHECK(require(scope, Right::tenants_write, "revoke certificates"));
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, tx.one<CertificateRow>(sql(kCertificates, "WHERE serial = :s"), {{"s", serial}}));
    if (!row || !may_change(tx, scope, row->node))
      return fail(Code::not_found, fmt::format("no certificate has the serial {}", serial));
    if (row->revoked_at_us)
      return fail(Code::conflict, fmt::format("this certificate was revoked {}", format_time(*row->revoked_at_us)));
    BAVN_CHECK(tx.exec("UPDATE certificate SET revoked_at_us = :now, revoked_why = :why WHERE serial = :s",
                       {{"now", tx.now()}, {"why", why}, {"s", serial}}));
    BAVN_CHECK(tx.emit("certificate.revoked", serial, detail({{"node", subject(row->node)}})));
    return tx.audit(
        {scope.who(), "certificate.revoked", subject(row->node), detail({{"serial", serial}, {"why", why}})});
  }));
  return after_change({serial});
}

Result<std::vector<Operator>> Directory::operators(const event::Scope& scope) const {
  BAVN_CHECK(require(scope, Right::tenants_read, "see operators"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<Operator>> {
    BAVN_TRY(const auto rows, db.all<OperatorRow>("SELECT id, name FROM operator ORDER BY name"));
    std::vector<Operator> operators;
    for (const auto& row : rows) {
      BAVN_TRY(const auto of,
               db.all<MunicipalityId>("SELECT municipality FROM member WHERE operator = :o", {{"o", row.id}}));
      if (scope.sees_all() || sees_any(scope, of)) operators.push_back({row.id, row.name});
    }
    return operators;
  });
}

Result<std::vector<Member>> Directory::members(const event::Scope& scope) const {
  BAVN_CHECK(require(scope, Right::tenants_read, "see members"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<Member>> {
    BAVN_TRY(const auto rows,
             db.all<MemberRow>(
                 "SELECT municipality, operator AS operator_, since_us, left_at_us FROM member ORDER BY municipality"));
    std::vector<Member> members;
    for (const auto& row : rows)
      if (scope.sees(row.municipality))
        members.push_back({row.municipality, row.operator_, row.since_us, row.left_at_us});
    return members;
  });
}

Result<std::vector<Node>> Directory::nodes(const event::Scope& scope) const {
  BAVN_CHECK(require(scope, Right::tenants_read, "see nodes"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<Node>> {
    BAVN_TRY(const auto rows, db.all<NodeRow>(sql(kNodes, "ORDER BY id")));
    std::vector<Node> nodes;
    for (const auto& row : rows) {
      BAVN_TRY(auto node, whole(db, row, runtime_.now()));
      if (scope.sees_all() || sees_any(scope, node.municipalities)) nodes.push_back(std::move(node));
    }
    return nodes;
  });
}

Result<Node> Directory::node(const event::Scope& scope, NodeId id) const {
  BAVN_CHECK(require(scope, Right::tenants_read, "see nodes"));
  return state_.read([&](store::Reader& db) -> Result<Node> {
    BAVN_TRY(const auto row, node_row(db, id));
    BAVN_TRY(auto node, whole(db, row, runtime_.now()));
    if (!scope.sees_all() && !sees_any(scope, node.municipalities))
      return fail(Code::not_found, fmt::format("there is no node {}", id.value));
    return node;
  });
}

Result<NodeId> Directory::node_named(const event::Scope& scope, std::string_view name) const {
  BAVN_TRY(const auto all, nodes(scope));
  std::vector<std::string_view> names;
  for (const auto& node : all) {
    if (node.name == trim(name) || std::to_string(node.id.value) == trim(name)) return node.id;
    names.push_back(node.name);
  }
  const auto near = nearest(trim(name), names);
  return fail(Code::not_found, near.empty()
                                   ? fmt::format("there is no node \"{}\"", trim(name))
                                   : fmt::format("there is no node \"{}\"; did you mean \"{}\"?", trim(name), near));
}

bool Directory::too_many_guesses(std::string_view from) {
  const Instant since = runtime_.now() - options_.guess_window;
  return guesses_.with([&](Guesses& all) {
    const auto found = all.find(from);
    if (found == all.end()) return false;
    auto& times = found->second;
    while (!times.empty() && times.front() <= since) times.pop_front();
    if (times.empty()) {
      all.erase(found);
      return false;
    }
    return times.size() >= options_.guesses;
  });
}

void Directory::wrong_guess(std::string_view from) {
  guesses_.with([&](Guesses& all) {
    if (all.size() >= kMaxAddresses && !all.contains(from)) all.erase(all.begin());
    all[std::string(from)].push_back(runtime_.now());
  });
}

Result<std::string> Directory::issue_inside(store::Tx& tx, NodeId node, const std::string& name,
                                            const std::string& request_pem, std::optional<std::string> renews) {
  x509::Wish wish;
  wish.common_name = name;
  wish.names = {{x509::Name::Kind::uri, fmt::format("bavn:node/{}", node.value)}};
  wish.not_before = tx.now() - kBackdated;
  wish.not_after = tx.now() + options_.certificate_life;
  wish.serial = random_serial(runtime_);
  BAVN_TRY(const auto pem, x509::issue(trust_.authority(), request_pem, wish));
  BAVN_TRY(const auto facts, x509::read_certificate(pem));
  BAVN_CHECK(
      tx.exec("INSERT INTO certificate (serial, node, public_key, fingerprint, pem, not_before_us, not_after_us, "
              "issued_at_us, renews) "
              "VALUES (:serial, :n, :key, :fingerprint, :pem, :before, :after, :now, :renews)",
              {{"serial", facts.serial},
               {"n", node},
               {"key", facts.public_key},
               {"fingerprint", facts.fingerprint},
               {"pem", pem},
               {"before", facts.not_before},
               {"after", facts.not_after},
               {"now", tx.now()},
               {"renews", renews}}));
  return pem;
}

Result<Enrolled> Directory::enrol(const EnrolAsk& ask, std::string_view from) {
  if (too_many_guesses(from))
    return fail(Code::forbidden, fmt::format("too many wrong codes came from {}: try again in {} minutes", from,
                                             options_.guess_window.count()));
  BAVN_TRY(const auto request, x509::read_request(ask.request_pem));
  std::string sign_key;
  if (!ask.sign_key.empty()) {
    BAVN_TRY(const auto key, PublicKey::parse(ask.sign_key));
    sign_key = key.text();
  }
  Enrolled enrolled;
  bool guess = false;
  const auto done = state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto code, tx.one<CodeRow>("SELECT id, node, expires_at_us, used_at_us, used_for, withdrawn_at_us "
                                              "FROM enrolment_code WHERE digest = :d",
                                              {{"d", store::Blob{EnrolmentCode::digest(ask.secret)}}}));
    if (!code) {
      guess = true;
      return fail(Code::forbidden, "the hub does not know this enrolment code: it is of another hub, or mistyped");
    }
    BAVN_TRY(const auto row, node_row(tx, code->node));
    enrolled.node = row.id;
    enrolled.name = row.name;
    BAVN_TRY(enrolled.municipalities, municipalities_of(tx, row.id));
    BAVN_TRY(const auto by, tx.one<std::string>("SELECT name FROM operator WHERE id = :id", {{"id", row.by}}));
    enrolled.by = by.value_or("");
    if (code->used_at_us) {
      BAVN_TRY(const auto before,
               tx.one<CertificateRow>(sql(kCertificates, "WHERE serial = :s"), {{"s", code->used_for}}));
      if (before && before->public_key == request.public_key && !before->revoked_at_us &&
          before->not_after_us > tx.now()) {
        enrolled.certificate_pem = before->pem;  // the answer was lost on its way
        return {};
      }
      return fail(
          Code::conflict,
          fmt::format(
              "this enrolment code was used {}: a code counts once. If that was not you, tell the CERT at once; "
              "a new one: bavn hub code {}",
              format_time(*code->used_at_us), code->node.value));
    }
    if (code->withdrawn_at_us)
      return fail(Code::forbidden,
                  fmt::format("this enrolment code was withdrawn {}: a newer one was made, or the node was revoked",
                              format_time(*code->withdrawn_at_us)));
    if (code->expires_at_us <= tx.now())
      return fail(Code::forbidden, fmt::format("this enrolment code expired {}; a new one: bavn hub code {}",
                                               format_time(code->expires_at_us), code->node.value));
    BAVN_TRY(enrolled.certificate_pem, issue_inside(tx, row.id, row.name, ask.request_pem, std::nullopt));
    BAVN_TRY(const auto facts, x509::read_certificate(enrolled.certificate_pem));
    BAVN_CHECK(tx.exec("UPDATE enrolment_code SET used_at_us = :now, used_for = :s WHERE id = :id",
                       {{"now", tx.now()}, {"s", facts.serial}, {"id", code->id}}));
    BAVN_CHECK(tx.exec(
        "UPDATE node SET enrolled_at_us = :now, sign_key = COALESCE(:key, sign_key) WHERE id = :n",
        {{"now", tx.now()}, {"key", sign_key.empty() ? std::nullopt : std::optional(sign_key)}, {"n", row.id}}));
    for (const auto m : enrolled.municipalities) BAVN_CHECK(tx.emit("node.enrolled", subject(row.id), "{}", m));
    return tx.audit(
        {subject(row.id), "node.enrolled", subject(row.id),
         detail({{"serial", facts.serial}, {"from", from}, {"machine", repair_utf8(ask.name.substr(0, 100))}})});
  });
  if (!done) {
    log::warn("enrolment_refused", {{"from", from}, {"reason", done.error().what}});
    if (guess) wrong_guess(from);
    return std::unexpected(done.error());
  }
  BAVN_CHECK(after_change({}));
  return enrolled;
}

Result<Enrolled> Directory::renew(const std::string& serial, const std::string& request_pem) {
  BAVN_TRY(const auto id, node_of(serial));
  Enrolled renewed;
  renewed.node = id;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, node_row(tx, id));
    if (row.retired_at_us)
      return fail(Code::forbidden, fmt::format("the node {} is retired: its municipality left", row.name));
    BAVN_TRY(const auto old, tx.one<CertificateRow>(sql(kCertificates, "WHERE serial = :s"), {{"s", serial}}));
    if (!old || old->revoked_at_us) return fail(Code::forbidden, "this certificate is revoked");
    renewed.name = row.name;
    BAVN_TRY(renewed.municipalities, municipalities_of(tx, id));
    BAVN_TRY(const auto by, tx.one<std::string>("SELECT name FROM operator WHERE id = :id", {{"id", row.by}}));
    renewed.by = by.value_or("");
    BAVN_TRY(const auto request, x509::read_request(request_pem));
    // A lost answer: the same key asks again.
    BAVN_TRY(const auto again,
             tx.one<CertificateRow>(sql(kCertificates,
                                        "WHERE node = :n AND public_key = :k AND revoked_at_us IS NULL AND renews = :s "
                                        "ORDER BY issued_at_us DESC LIMIT 1"),
                                    {{"n", id}, {"k", request.public_key}, {"s", serial}}));
    if (again) {
      renewed.certificate_pem = again->pem;
      return {};
    }
    BAVN_TRY(renewed.certificate_pem, issue_inside(tx, id, row.name, request_pem, serial));
    BAVN_TRY(const auto facts, x509::read_certificate(renewed.certificate_pem));
    BAVN_CHECK(tx.emit("certificate.renewed", facts.serial, detail({{"node", subject(id)}})));
    return tx.audit(
        {subject(id), "certificate.renewed", subject(id), detail({{"serial", facts.serial}, {"before", serial}})});
  }));
  BAVN_CHECK(after_change({}));
  return renewed;
}

Result<event::Scope> Directory::scope_of(const std::string& serial) const {
  return known_.with([&](const auto& all) -> Result<event::Scope> {
    const auto found = all.find(serial);
    if (found == all.end())
      return fail(Code::forbidden, "the hub does not know this certificate: the node must enrol again with a new code");
    const Known& known = found->second;
    if (known.revoked)
      return fail(Code::forbidden, "this certificate is revoked: the CERT took this node out; call it");
    if (known.not_after <= runtime_.now())
      return fail(Code::forbidden, fmt::format("this certificate expired {}: the node must enrol again with a new code",
                                               format_time(known.not_after)));
    return event::Scope(subject(known.node), known.municipalities,
                        static_cast<std::uint32_t>(Right::follow) | static_cast<std::uint32_t>(Right::report),
                        event::Tlp::amber_strict);
  });
}

Result<NodeId> Directory::node_of(const std::string& serial) const {
  BAVN_CHECK(scope_of(serial));
  return known_.with([&](const auto& all) -> Result<NodeId> {
    const auto found = all.find(serial);
    if (found == all.end()) return fail(Code::forbidden, "the hub does not know this certificate");
    return found->second.node;
  });
}

bool Directory::revoked(const std::string& serial) const {
  return !scope_of(serial);
}

Result<void> Directory::seen(store::Tx& tx, NodeId node, std::optional<std::int64_t> clock_offset_us) {
  BAVN_CHECK(
      tx.exec("UPDATE node SET last_seen_us = :now, clock_offset_us = COALESCE(:offset, clock_offset_us) WHERE id = :n",
              {{"now", tx.now()}, {"offset", clock_offset_us}, {"n", node}}));
  return {};
}

}  // namespace bavn::tenants
