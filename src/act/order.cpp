#include "act/order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe/class.hpp>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/local_time.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"

namespace bavn::act {

BOOST_DESCRIBE_STRUCT(Order, (), (id, municipality, action, target, reason, not_before, not_after, nonce))
BOOST_DESCRIBE_STRUCT(OrderSignature, (), (kind, key, signature))
BOOST_DESCRIBE_STRUCT(SignedOrder, (), (order, signatures))

struct ProofView {
  std::string proof, key, signature;
};
BOOST_DESCRIBE_STRUCT(ProofView, (), (proof, key, signature))

struct TestRow {
  std::optional<Instant> passed, started;
};
BOOST_DESCRIBE_STRUCT(TestRow, (), (passed, started))

namespace {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr std::string_view kOrderPurpose = "bavn order v1", kProofPurpose = "bavn order proof v1";
constexpr std::size_t kMaxOrder = 64 * 1024, kMaxSignatures = 16, kMaxText = 2000;
constexpr Duration kLongestOrder = 24h;
constexpr std::string_view kTest = "mandate_test:";

std::string big_endian(std::uint64_t n) {
  std::string out(8, '\0');
  for (std::size_t i = 8; i-- > 0; n >>= 8) out[i] = static_cast<char>(n & 0xFF);
  return out;
}

unsigned minute_of_day(Instant now, const std::string& zone) {
  const auto local = local_time(now, zone);
  BAVN_ASSERT(local.has_value());  // the mandate's zone was checked when it was read
  return local->hour * 60 + local->minute;
}

}  // namespace

std::string SignedOrder::text() const {
  return net::to_json(*this);
}

Result<SignedOrder> SignedOrder::parse(std::string_view text) {
  if (text.size() > kMaxOrder) return fail(Code::bad_input, "too large for an order");
  BAVN_TRY(auto order, net::from_json<SignedOrder>(text, net::Unknown::refuse));
  if (order.signatures.size() > kMaxSignatures) return fail(Code::bad_input, "too many signatures");
  return order;
}

Result<Order> SignedOrder::content() const {
  BAVN_TRY(auto content, net::from_json<Order>(order, net::Unknown::refuse));
  const auto nonce = from_hex(content.nonce);
  if (content.id.empty() || content.id.size() > 100 || !nonce || nonce->size() != 16)
    return fail(Code::bad_input, "an order needs an id and a nonce of 32 hex digits");
  if (content.reason.size() > kMaxText || content.target.size() > kMaxText || trim(content.reason).empty())
    return fail(Code::bad_input, "an order needs a reason, of at most 2000 bytes");
  return content;
}

std::string challenge(std::string_view order_bytes, const Order& order) {
  std::string bytes = big_endian(order_bytes.size());
  bytes.append(order_bytes);
  bytes += big_endian(order.municipality.value);
  bytes += big_endian(static_cast<std::uint64_t>(micros(order.not_after)));
  bytes += order.nonce;
  return sha256(bytes);
}

Result<SignedOrder> new_order(Runtime& runtime, MunicipalityId municipality, std::string_view action,
                              std::string_view target, std::string_view reason, std::chrono::minutes valid) {
  if (valid <= 0min || valid > kLongestOrder)
    return fail(Code::bad_input, "an order is valid for a minute to 24 hours");
  const auto random_hex = [&] {
    std::string bytes(16, '\0');
    runtime.random(std::as_writable_bytes(std::span(bytes)));
    return to_hex(bytes);
  };
  const Instant now = std::chrono::floor<std::chrono::seconds>(runtime.now());
  SignedOrder made{net::to_json(Order{"order-" + random_hex().substr(0, 12), municipality, std::string(action),
                                      std::string(target), std::string(trim(reason)), now, now + valid, random_hex()}),
                   {}};
  BAVN_CHECK(made.content());
  return made;
}

Result<void> sign_order(SignedOrder& order, const SigningKey& person) {
  BAVN_TRY(const auto content, order.content());
  const std::string key = person.public_key().text();
  for (const auto& s : order.signatures)
    if (s.key == key)
      return fail(Code::conflict, "this key signed the order already: the second signature must be another person's");
  order.signatures.push_back(
      {"ed25519", key, to_base64url(person.sign(kOrderPurpose, challenge(order.order, content)))});
  return {};
}

bool check_ed25519(const Pinned& person, std::string_view challenge, std::string_view signature) {
  const auto key = PublicKey::parse(person.key);
  const auto bytes = from_base64url(signature);
  return key && bytes && key->verify(kOrderPurpose, challenge, *bytes);
}

Result<std::vector<std::string>> who_signed(const SignedOrder& order, const Mandate& mandate, Instant now,
                                            const std::map<std::string, CheckSignature>& kinds) {
  BAVN_TRY(const auto content, order.content());
  const std::string asked = challenge(order.order, content);
  const unsigned minute = minute_of_day(now, mandate.zone);
  std::map<std::string, std::string> people;  // by name in lower case: two keys of one person are one person
  bool may_order = false;
  std::string trouble;
  for (const auto& s : order.signatures) {
    const auto pinned = std::find_if(mandate.people.begin(), mandate.people.end(),
                                     [&](const Pinned& p) { return p.kind == s.kind && p.key == s.key; });
    if (pinned == mandate.people.end()) {
      trouble +=
          fmt::format("; one signature is of a key that is not in the mandate ({})", repair_utf8(s.key.substr(0, 60)));
      continue;
    }
    const auto check = kinds.find(s.kind);
    if (check == kinds.end()) {
      trouble += fmt::format("; the signature of {} is of kind \"{}\", which this version cannot check", pinned->name,
                             pinned->kind);
      continue;
    }
    if (!check->second(*pinned, asked, s.signature))
      return fail(Code::forbidden,
                  fmt::format("the signature of {} does not fit this order: it was changed", pinned->name));
    if (!pinned->hours.holds(minute)) {
      trouble += fmt::format("; the signature of {} does not count at this hour", pinned->name);
      continue;
    }
    people.emplace(to_lower_utf8(pinned->name), pinned->name);
    may_order = may_order || !pinned->second_only;
  }
  if (people.size() < 2)
    return fail(Code::forbidden,
                fmt::format("an order needs the signatures of two different people of the mandate; this has {}{}",
                            people.size(), trouble));
  if (!may_order) return fail(Code::forbidden, "none of those who signed may order: they count only as the second");
  std::vector<std::string> names;
  for (const auto& [key, name] : people) names.push_back(name);
  return names;
}

OrderDesk::OrderDesk(Runtime& runtime, MandateFiles files, MunicipalityId own, const SigningKey& node_key,
                     CallOut call_out)
    : runtime_(runtime), files_(std::move(files)), own_(own), node_key_(node_key), call_out_(std::move(call_out)) {}

Result<Outcome> OrderDesk::refuse(store::Tx& tx, const Order* order, std::string why) const {
  Outcome outcome{order ? order->id : "", false, std::move(why), {}};
  BAVN_CHECK(
      tx.exec("INSERT INTO act_order (order_id, action, target, received_at_us, done, reason) VALUES (:id, :action, "
              ":target, :now, 0, :why)",
              {{"id", outcome.order},
               {"action", order ? order->action : ""},
               {"target", order ? order->target : ""},
               {"now", tx.now()},
               {"why", outcome.reason}}));
  std::string detail;
  JsonWriter(detail).object().member("why", outcome.reason).end();
  BAVN_CHECK(tx.audit({"hub", "order.refused", outcome.order.empty() ? "order" : outcome.order, detail}));
  BAVN_CHECK(tx.emit("order.refused", outcome.order, detail, own_));
  return outcome;
}

Result<Outcome> OrderDesk::take(store::Tx& tx, std::string_view text) const {
  const auto parsed = SignedOrder::parse(text);
  if (!parsed) return refuse(tx, nullptr, "the order cannot be read: " + to_string(parsed.error()));
  const auto content = parsed->content();
  if (!content) return refuse(tx, nullptr, "the order cannot be read: " + to_string(content.error()));
  const Order& order = *content;
  const auto no = [&](std::string why) { return refuse(tx, &order, std::move(why)); };

  if (order.municipality != own_)
    return no(fmt::format("the order is for municipality {}, not for this one", order.municipality.value));
  const auto check = check_mandate(runtime_.files(), files_, own_, tx.now());
  if (!check.holds()) {
    const auto first =
        std::find_if(check.findings.begin(), check.findings.end(), [](const auto& f) { return f.blocks; });
    return no("no mandate is in force here: " + first->what);
  }
  const Mandate& mandate = *check.mandate;
  const auto people = who_signed(*parsed, mandate, tx.now(), kinds_);
  if (!people) return no(people.error().what);
  if (order.not_after <= order.not_before || order.not_after - order.not_before > kLongestOrder)
    return no("an order lives at most 24 hours");
  if (tx.now() < order.not_before)
    return no(fmt::format("the order begins {}, this machine's clock says {}", format_time(order.not_before),
                          format_time(tx.now())));
  if (tx.now() >= order.not_after)
    return no(fmt::format("the order ended {}, this machine's clock says {}", format_time(order.not_after),
                          format_time(tx.now())));
  BAVN_TRY(const auto used,
           tx.one<std::string>("SELECT order_id FROM act_nonce WHERE nonce = :n", {{"n", order.nonce}}));
  if (used) return no("this order was here before: an order counts once");
  // From here on it is used up, whatever becomes of it.
  BAVN_CHECK(tx.exec("INSERT INTO act_nonce (nonce, order_id, at_us) VALUES (:n, :id, :now)",
                     {{"n", order.nonce}, {"id", order.id}, {"now", tx.now()}}));

  const ActionRule* rule = mandate.rule(order.action);
  if (rule == nullptr || rule->mode == Mode::off)
    return no(fmt::format("\"{}\" is not in the mandate", repair_utf8(order.action.substr(0, 60))));
  if (!rule->hours.holds(minute_of_day(tx.now(), mandate.zone)))
    return no(fmt::format("the mandate does not allow \"{}\" at this hour", rule->action));
  const std::string target = to_lower_utf8(trim(order.target));
  if (std::find(mandate.protected_accounts.begin(), mandate.protected_accounts.end(), target) !=
      mandate.protected_accounts.end())
    return no("the target is a protected account: no order may touch it");
  BAVN_TRY(const auto lately,
           tx.number("SELECT count(*) FROM act_order WHERE action = :a AND done = 1 AND received_at_us > :since",
                     {{"a", rule->action}, {"since", tx.now() - 1h}}));
  if (lately >= rule->per_hour)
    return no(fmt::format("the mandate allows \"{}\" {} times an hour, and that many were done", rule->action,
                          rule->per_hour));

  // check_mandate lets nothing be switched on that is not available.
  const auto done = [&]() -> Result<std::string> {
    if (order.action == "call_me") {
      BAVN_TRY(const auto ways,
               call_out_(tx, {own_, mandate.municipality_name, *people, order.reason, order.id, order.not_after}));
      return fmt::format("calling the duty contact by {} ways", ways);
    }
    const auto carry = carry_out_.find(order.action);
    if (carry == carry_out_.end()) return fail(Code::unavailable, fmt::format("this node cannot {} now", order.action));
    return carry->second(tx, order, *people);
  }();
  if (!done) return no(done.error().what);
  Outcome outcome{order.id, true, *done, {}};
  std::string facts;
  JsonWriter w(facts);
  w.object().member("kind", "bavn.order_done").member("order", order.id).member("action", order.action);
  w.member("municipality", static_cast<std::int64_t>(own_.value))
      .member("at", format_time(tx.now()))
      .member("what", outcome.reason);
  w.key("people").array();
  for (const auto& name : *people) w.value(name);
  w.end()
      .member("order_sha256", to_hex(sha256(parsed->order)))
      .member("mandate_version", static_cast<std::uint64_t>(mandate.version))
      .end();
  outcome.proof =
      net::to_json(ProofView{facts, node_key_.public_key().text(), to_base64url(node_key_.sign(kProofPurpose, facts))});
  BAVN_CHECK(
      tx.exec("INSERT INTO act_order (order_id, action, target, received_at_us, done, reason, proof) VALUES (:id, "
              ":action, :target, :now, 1, :what, :proof)",
              {{"id", order.id},
               {"action", order.action},
               {"target", order.target},
               {"now", tx.now()},
               {"what", outcome.reason},
               {"proof", outcome.proof}}));
  std::string detail;
  JsonWriter(detail).object().member("action", order.action).member("reason", order.reason).end();
  BAVN_CHECK(tx.audit({fmt::format("{} and {}", (*people)[0], (*people)[1]), "order.done", order.id, detail}));
  BAVN_CHECK(tx.emit("order.done", order.id, "{}", own_));
  return outcome;
}

bool proof_holds(std::string_view text, const PublicKey& node) {
  const auto proof = net::from_json<ProofView>(text, net::Unknown::refuse);
  if (!proof || proof->key != node.text()) return false;
  const auto signature = from_base64url(proof->signature);
  return signature && node.verify(kProofPurpose, proof->proof, *signature);
}

Result<std::int64_t> OrderDesk::start_test(store::Tx& tx) {
  BAVN_CHECK(tx.exec("INSERT INTO act_test (started_at_us) VALUES (:now)", {{"now", tx.now()}}));
  const auto id = tx.last_id();
  BAVN_CHECK(tx.audit({"bavn", "mandate.test_started", fmt::format("{}{}", kTest, id), "{}"}));
  return id;
}

Result<void> OrderDesk::on_confirmed(store::Tx& tx, std::string_view about) {
  if (!about.starts_with(kTest)) return {};
  BAVN_TRY(
      const auto n,
      tx.exec("UPDATE act_test SET passed_at_us = :now WHERE 'mandate_test:' || id = :about AND passed_at_us IS NULL",
              {{"now", tx.now()}, {"about", about}}));
  if (n == 0) return {};  // the second way of the same person answered, or the event came again
  return tx.audit({"duty contact", "mandate.test_passed", std::string(about), "{}"});
}

Result<OrderDesk::Tests> OrderDesk::tests(store::Reader& db, Instant now) {
  BAVN_TRY(const auto row,
           db.one<TestRow>("SELECT max(passed_at_us) AS passed, max(started_at_us) AS started FROM act_test"));
  Tests t;
  if (row) {
    t.passed = row->passed;
    t.started = row->started;
  }
  t.due = t.passed ? *t.passed + days{31} : now;
  t.overdue = now >= t.due;
  return t;
}

}  // namespace bavn::act
