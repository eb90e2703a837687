#include "notice/desk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"
#include "notice/saved.hpp"

namespace bavn::notice {

namespace {

using event::Right;
using event::Scope;

constexpr std::string_view kMagic = "BVDESK1\n";
constexpr std::string_view kTimer = "notice.due";
constexpr std::size_t kWatches = 200;  // municipalities of one node
constexpr std::int64_t kDay = 24LL * 3600 * 1'000'000;
constexpr std::int64_t kNamedKept = 7 * kDay;
constexpr std::int64_t kLongestExercise = 62 * kDay;
constexpr std::size_t kExercises = 1000;
constexpr std::int64_t kShownIds = 1000;

struct Out {
  MunicipalityId of{};
  Noticed noticed;
};

struct Told {
  std::int64_t part = 0, mails = 0, recipients = 0, outside = 0;
  std::string level;
};
BOOST_DESCRIBE_STRUCT(Told, (), (part, mails, recipients, outside, level))

struct ExerciseRow {
  std::string id, sender, url;
  std::int64_t from_us = 0, until_us = 0;
  bool withdrawn = false;
};
BOOST_DESCRIBE_STRUCT(ExerciseRow, (), (id, sender, url, from_us, until_us, withdrawn))

struct NamedRow {
  std::int64_t municipality = 0;
  std::string payload;
};
BOOST_DESCRIBE_STRUCT(NamedRow, (), (municipality, payload))

struct JudgedRow {
  std::string kind, concern;
  std::int64_t municipality = 0;
};
BOOST_DESCRIBE_STRUCT(JudgedRow, (), (kind, concern, municipality))

constexpr std::string_view kColumns =
    "id, kind, municipality, concern, level, part, first_us, last_us, noticed_us, updated_us, mails, recipients, "
    "outside, usual, source, "
    "late_s, judged, judged_by, judged_why, judged_us";

int rank(std::string_view level) {
  return level == "sure" ? 3 : level == "likely" ? 2 : level == "suspected" ? 1 : 0;
}

Result<std::optional<Told>> told_of(store::Tx& tx, const std::string& id) {
  return tx.one<Told>("SELECT part, mails, recipients, outside, level FROM node_notice WHERE id = :id", {{"id", id}});
}

/// The signs told before and these, of each kind the newer word. True when one is of a kind that was not there.
Result<bool> join_signs(store::Tx& tx, const std::string& id, std::vector<event::Sign>& signs) {
  BAVN_TRY(
      const auto before,
      tx.all<event::Sign>("SELECT \"group\", kind, at_us, detail FROM node_notice_sign WHERE notice = :id ORDER BY nr",
                          {{"id", id}}));
  const auto among = [](const std::vector<event::Sign>& all, const event::Sign& s, bool same_time) {
    return std::any_of(all.begin(), all.end(), [&](const event::Sign& x) {
      return x.kind == s.kind && x.group == s.group && (!same_time || x.at_us == s.at_us);
    });
  };
  // Steps of a takeover may come twice in a chain; of the rest there is one each.
  const bool fresh = std::any_of(signs.begin(), signs.end(),
                                 [&](const event::Sign& s) { return !among(before, s, event::takeover_sign(s.kind)); });
  for (const event::Sign& s : before)
    if (!among(signs, s, false)) signs.push_back(s);
  return fresh;
}

Result<void> write_signs(store::Tx& tx, const std::string& id, const std::vector<event::Sign>& signs) {
  BAVN_CHECK(tx.exec("DELETE FROM node_notice_sign WHERE notice = :id", {{"id", id}}));
  std::int64_t nr = 0;
  for (const event::Sign& s : signs)
    BAVN_CHECK(
        tx.exec("INSERT INTO node_notice_sign (notice, nr, \"group\", kind, at_us, detail) VALUES (:id, :nr, :g, "
                ":kind, :at, :detail)",
                {{"id", id}, {"nr", ++nr}, {"g", s.group}, {"kind", s.kind}, {"at", s.at_us}, {"detail", s.detail}}));
  return {};
}

Result<void> write_row(store::Tx& tx, const NoticedRow& r) {
  BAVN_CHECK(tx.exec(
      "INSERT INTO node_notice (id, kind, municipality, concern, level, part, first_us, last_us, noticed_us, "
      "updated_us, mails, recipients, "
      "outside, usual, source, late_s) VALUES (:id, :kind, :m, :concern, :level, :part, :first, :last, :noticed, :now, "
      ":mails, :recipients, "
      ":outside, :usual, :source, :late) ON CONFLICT (id) DO UPDATE SET level = :level, part = :part, first_us = "
      "min(first_us, :first), "
      "last_us = max(last_us, :last), updated_us = :now, mails = :mails, recipients = :recipients, outside = :outside",
      {{"id", r.id},
       {"kind", r.kind},
       {"m", r.municipality},
       {"concern", r.concern},
       {"level", r.level},
       {"part", r.part},
       {"first", r.first_us},
       {"last", r.last_us},
       {"noticed", r.noticed_us},
       {"now", tx.now()},
       {"mails", r.mails},
       {"recipients", r.recipients},
       {"outside", r.outside},
       {"usual", r.usual},
       {"source", r.source},
       {"late", r.late_s}}));
  std::string detail;
  JsonWriter(detail).object().member("part", r.part).end();
  return tx.emit("notice." + r.kind, r.id, detail, MunicipalityId{static_cast<std::uint16_t>(r.municipality)});
}

/// Writes down and tells what of it is new. What was told before, in this life or another, changes nothing: a unit may run twice, and what
/// facts make again after a crash was perhaps told already.
class Teller {
 public:
  Teller(store::Tx& tx, const Tell& tell, const Out& out, std::int64_t too_old)
      : tx_(tx), tell_(tell), out_(out), too_old_(too_old) {}

  Result<void> operator()(const event::SenderNotice& noticed) {
    event::SenderNotice n = noticed;
    BAVN_TRY(const auto told, told_of(tx_, n.id));
    if (!told && stale(n.to_us)) return {};
    n.part = (told ? told->part : 0) + 1;
    bool fresh = !told || n.mails > told->mails;
    for (event::ForDomain& d : n.to) {
      BAVN_TRY(const std::int64_t before,
               tx_.number("SELECT coalesce(max(mails), 0) FROM node_notice_domain WHERE notice = :id AND domain = :d",
                          {{"id", n.id}, {"d", d.domain}}));
      d.mails = std::max(d.mails, before);
      std::vector<std::string> ids;
      for (std::string& id : d.message_ids) {
        BAVN_TRY(const std::int64_t rows, tx_.exec("INSERT INTO node_notice_mail (notice, domain, message_id, part) "
                                                   "VALUES (:id, :d, :mail, :part) ON CONFLICT DO NOTHING",
                                                   {{"id", n.id}, {"d", d.domain}, {"mail", id}, {"part", n.part}}));
        if (rows != 0) ids.push_back(std::move(id));
      }
      fresh |= !ids.empty();
      d.message_ids = std::move(ids);
      BAVN_CHECK(
          tx_.exec("INSERT INTO node_notice_domain (notice, domain, mails) VALUES (:id, :d, :mails) ON CONFLICT "
                   "(notice, domain) DO "
                   "UPDATE SET mails = :mails",
                   {{"id", n.id}, {"d", d.domain}, {"mails", d.mails}}));
    }
    BAVN_TRY(const bool new_sign, join_signs(tx_, n.id, n.signs));
    if (!fresh && !new_sign) return {};
    if (told) {
      n.mails = std::max(n.mails, told->mails);
      n.recipients = std::max(n.recipients, told->recipients);
      n.outside = std::max(n.outside, told->outside);
    }
    BAVN_CHECK(write_signs(tx_, n.id, n.signs));
    BAVN_CHECK(write_row(tx_, row("sender", n.id, n.sender, "", n.part, n.from_us, n.to_us, n.noticed_us, n.mails,
                                  n.recipients, n.outside, n.usual, n.source, n.late_s)));
    return tell_(tx_, "sender_notice", net::to_json(n), out_.of, event::Tlp::amber);
  }

  Result<void> operator()(const event::BurstNotice& noticed) {
    event::BurstNotice n = noticed;
    BAVN_TRY(const auto told, told_of(tx_, n.id));
    if (!told && stale(n.to_us)) return {};
    BAVN_TRY(const bool new_sign, join_signs(tx_, n.id, n.signs));
    if (told && n.mails <= told->mails && !new_sign) return {};
    n.part = (told ? told->part : 0) + 1;
    if (told) {
      n.mails = std::max(n.mails, told->mails);
      n.recipients = std::max(n.recipients, told->recipients);
    }
    BAVN_CHECK(write_signs(tx_, n.id, n.signs));
    BAVN_CHECK(write_row(tx_, row("burst", n.id, n.sender, "", n.part, n.from_us, n.to_us, n.noticed_us, n.mails,
                                  n.recipients, 0, n.usual, n.source, n.late_s)));
    return tell_(tx_, "burst", net::to_json(n), out_.of, event::Tlp::amber);
  }

  Result<void> operator()(const event::TakeoverNotice& noticed) {
    event::TakeoverNotice n = noticed;
    BAVN_TRY(const auto told, told_of(tx_, n.id));
    std::int64_t last = n.first_us;
    for (const event::Sign& s : n.steps) last = std::max(last, s.at_us);
    if (!told && stale(last)) return {};
    BAVN_TRY(const bool new_sign, join_signs(tx_, n.id, n.steps));
    if (told && rank(n.level) <= rank(told->level) && !new_sign) return {};
    if (told && rank(told->level) > rank(n.level)) n.level = told->level;
    n.part = (told ? told->part : 0) + 1;
    BAVN_CHECK(write_signs(tx_, n.id, n.steps));
    BAVN_CHECK(write_row(tx_, row("takeover", n.id, n.account, n.level, n.part, n.first_us, last, n.noticed_us, 0, 0, 0,
                                  0, n.source, n.late_s)));
    return tell_(tx_, "takeover", net::to_json(n), out_.of, event::Tlp::amber);
  }

  Result<void> operator()(const event::HarmNotice& noticed) {
    event::HarmNotice n = noticed;
    // The hub knows a notice by whose it is, too; only an own one is known here without.
    if (n.notice && !n.notice->contains('.')) n.notice = fmt::format("{}.{}", out_.of.value, *n.notice);
    BAVN_TRY(const auto told, told_of(tx_, n.id));
    if (!told && stale(n.sign.at_us)) return {};
    if (told && n.count <= told->mails) return {};
    BAVN_CHECK(write_signs(tx_, n.id, {n.sign}));
    const std::string about = n.sender.value_or("");
    BAVN_CHECK(write_row(tx_, row("harm", n.id, about, n.sign.kind, (told ? told->part : 0) + 1, n.sign.at_us,
                                  n.sign.at_us, micros(tx_.now()), n.count, 0, 0, 0, "", 0)));
    return tell_(tx_, "harm", net::to_json(n), out_.of, event::Tlp::amber);
  }

 private:
  /// Facts of long ago, read again because the state was lost: what they show was told then, or is over.
  bool stale(std::int64_t last_us) const { return last_us < micros(tx_.now()) - 2 * too_old_; }
  NoticedRow row(std::string kind, const std::string& id, const std::string& concern, std::string level,
                 std::int64_t part, std::int64_t first, std::int64_t last, std::int64_t noticed, std::int64_t mails,
                 std::int64_t recipients, std::int64_t outside, std::int64_t usual, const std::string& source,
                 std::int64_t late) const {
    NoticedRow r;
    r.id = id;
    r.kind = std::move(kind);
    r.municipality = out_.of.value;
    r.concern = concern;
    r.level = std::move(level);
    r.part = part;
    r.first_us = first;
    r.last_us = last;
    r.noticed_us = noticed;
    r.mails = mails;
    r.recipients = recipients;
    r.outside = outside;
    r.usual = usual;
    r.source = source;
    r.late_s = late;
    return r;
  }

  store::Tx& tx_;
  const Tell& tell_;
  const Out& out_;
  std::int64_t too_old_;
};

Result<Exercise> read_exercise(std::string_view payload) {
  BAVN_TRY(Exercise e, net::from_json<Exercise>(payload, net::Unknown::ignore));
  if (e.id.empty() || e.id.size() > 100)
    return fail(Code::bad_input, "an exercise without an id, or with one above 100 bytes");
  const bool address = e.sender.contains('@');
  const auto sender = event::canonical(address ? event::Kind::email : event::Kind::mail_domain, e.sender);
  if (!sender) return fail(Code::bad_input, "an exercise names its sender: an address or a domain", e.id);
  e.sender = sender->value;
  if (!e.url.empty()) {
    const auto url = event::canonical(event::Kind::url, e.url);
    if (!url || url->value.size() > 2000) return fail(Code::bad_input, "the exercise's url cannot be read", e.id);
    e.url = url->value;
  }
  if (e.until_us <= e.from_us || e.until_us - e.from_us > kLongestExercise)
    return fail(Code::bad_input, "an exercise ends after it begins, and within 62 days", e.id);
  return e;
}

}  // namespace

struct Desk::Inner : std::enable_shared_from_this<Desk::Inner> {
  Inner(Runtime& r, store::State& s, std::shared_ptr<const Community> c, DeskOptions opts, Tell t)
      : runtime(r), state(s), community(std::move(c)), options(std::move(opts)), tell(std::move(t)) {}

  Watch* watch(MunicipalityId of);
  void know(const std::vector<NamedRow>& rows);
  std::vector<Exercise> all_exercises() const;
  std::optional<Instant> due() const;
  Result<void> write(store::Tx& tx, const std::vector<Out>& outs);
  Result<void> set_timer(store::Tx& tx);
  Result<void> on_timer();

  Runtime& runtime;
  store::State& state;
  std::shared_ptr<const Community> community;
  DeskOptions options;
  Tell tell;
  QueueId queue{};
  mutable std::mutex mutex;  // all below
  std::map<std::uint16_t, Watch> watches;
  std::map<std::string, Exercise> exercises;
  std::vector<Out> waiting;
  std::optional<Instant> timer;  // as it was set last
  bool asked = false;            // that on_timer() be run
  std::uint64_t foreign = 0;     // facts of more municipalities than a node may have
};

Desk::Desk(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
Desk::~Desk() = default;

Result<std::unique_ptr<Desk>> Desk::open(Runtime& runtime, store::State& state,
                                         std::shared_ptr<const Community> community, DeskOptions options, Tell tell) {
  auto inner = std::make_shared<Inner>(runtime, state, std::move(community), std::move(options), std::move(tell));
  BAVN_TRY(const auto exercises, state.read([](store::Reader& r) {
    return r.all<ExerciseRow>("SELECT id, sender, url, from_us, until_us, withdrawn FROM node_notice_exercise");
  }));
  for (const ExerciseRow& e : exercises)
    inner->exercises[e.id] = {e.id, e.sender, e.url, e.from_us, e.until_us, e.withdrawn};
  BAVN_TRY(const auto named, state.read([](store::Reader& r) {
    return r.all<NamedRow>("SELECT municipality, payload FROM node_notice_named ORDER BY at_us, part");
  }));
  inner->know(named);
  inner->queue = runtime.queue({.name = "notice"});
  state.on_timer(std::string(kTimer), inner->queue, [i = inner.get()](const store::Timer&) { return i->on_timer(); });
  return std::unique_ptr<Desk>(new Desk(std::move(inner)));
}

Watch* Desk::Inner::watch(MunicipalityId of) {
  const auto at = watches.find(of.value);
  if (at != watches.end()) return &at->second;
  if (watches.size() >= kWatches) {
    ++foreign;
    return nullptr;
  }
  Watch& w = watches.emplace(of.value, Watch(of, community, options.watch, options.key)).first->second;
  w.use_exercises(all_exercises());
  return &w;
}

std::vector<Exercise> Desk::Inner::all_exercises() const {
  std::vector<Exercise> all;
  for (const auto& [id, e] : exercises) all.push_back(e);
  return all;
}

void Desk::Inner::know(const std::vector<NamedRow>& rows) {
  for (const NamedRow& row : rows)
    if (const auto ids = net::from_json<event::SenderIds>(row.payload, net::Unknown::ignore))
      if (Watch* w = watch(MunicipalityId{static_cast<std::uint16_t>(row.municipality)})) w->know_notice(*ids);
}

std::optional<Instant> Desk::Inner::due() const {
  std::optional<Instant> first;
  for (const auto& [of, w] : watches)
    if (const auto at = w.due(); at && (!first || *at < *first)) first = at;
  return first;
}

void Desk::feed(std::span<const event::Fact> facts, Instant received, bool again) {
  const std::lock_guard lock(inner_->mutex);
  Inner& in = *inner_;
  std::vector<Noticed> noticed;
  for (const event::Fact& f : facts) {
    Watch* w = in.watch(event::head_of(f).municipality);
    if (w == nullptr) continue;
    std::optional<std::string> digest;
    if (in.options.digests != nullptr) {
      if (const auto* m = std::get_if<event::MailFact>(&f)) {
        const bool exercise = std::any_of(in.exercises.begin(), in.exercises.end(),
                                          [&](const auto& e) { return of_exercise(e.second, *m); });
        if (!exercise) in.options.digests->feed(*m, received, again);
      } else if (const auto* h = std::get_if<event::HarmFact>(&f)) {
        const bool exercise = std::any_of(in.exercises.begin(), in.exercises.end(),
                                          [&](const auto& e) { return of_exercise(e.second, *h); });
        if (!exercise) digest = in.options.digests->harm(*h, received, again);
      }
    }
    w->feed(f, received, noticed, digest ? std::string_view(*digest) : std::string_view());
    for (Noticed& n : noticed) in.waiting.push_back({w->municipality(), std::move(n)});
    noticed.clear();
  }
  // In a second life the timer may have fired before the facts that set it were fed again, and perhaps no new fact comes that takes what
  // waits away.
  if (again && !in.asked && (!in.waiting.empty() || (in.due() && in.due() != in.timer)))
    in.asked = in.runtime.post(in.queue, [weak = inner_->weak_from_this()] {
      if (const auto i = weak.lock()) (void)i->on_timer();
    });
}

store::Unit Desk::take() {
  std::shared_ptr<const std::vector<Out>> outs;
  auto digests = std::make_shared<store::Unit>();
  bool wake = false;
  {
    const std::lock_guard lock(inner_->mutex);
    outs = std::make_shared<const std::vector<Out>>(std::move(inner_->waiting));
    inner_->waiting.clear();
    const auto due = inner_->due();
    wake = due && due != inner_->timer;
    if (inner_->options.digests != nullptr) *digests = inner_->options.digests->take();
  }
  if (outs->empty() && !wake && !*digests) return {};
  return [in = inner_, outs, digests](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(in->write(tx, *outs));
    if (*digests) {
      const std::lock_guard lock(in->mutex);
      BAVN_CHECK((*digests)(tx));
    }
    return in->set_timer(tx);
  };
}

Result<void> Desk::Inner::write(store::Tx& tx, const std::vector<Out>& outs) {
  for (const Out& out : outs)
    BAVN_CHECK(
        std::visit(Teller(tx, tell, out, std::chrono::microseconds(options.watch.too_old).count()), out.noticed));
  return {};
}

/// Whatever was set before: a unit that is undone takes its timer with it.
Result<void> Desk::Inner::set_timer(store::Tx& tx) {
  const std::lock_guard lock(mutex);
  timer = due();
  return timer ? tx.set_timer(*timer, kTimer, "") : Result<void>{};
}

/// Something waited long enough, and no fact came to move it on. What came out meanwhile may be told before its facts are committed: told
/// again after a crash, it is known by its rows. What cannot be written now waits for the next unit.
Result<void> Desk::Inner::on_timer() {
  std::vector<Out> outs;
  {
    const std::lock_guard lock(mutex);
    timer.reset();
    asked = false;
    outs = std::move(waiting);
    waiting.clear();
    std::vector<Noticed> noticed;
    for (auto& [of, w] : watches) {
      w.advance(runtime.now(), noticed);
      for (Noticed& n : noticed) outs.push_back({w.municipality(), std::move(n)});
      noticed.clear();
    }
  }
  const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(write(tx, outs));
    return set_timer(tx);
  });
  if (!ok) {
    const std::lock_guard lock(mutex);
    timer.reset();
    waiting.insert(waiting.begin(), std::make_move_iterator(outs.begin()), std::make_move_iterator(outs.end()));
  }
  return ok;
}

Result<void> Desk::save(std::string& into) const {
  const std::lock_guard lock(inner_->mutex);
  into += kMagic;
  ByteWriter w(into);
  w.varint(inner_->watches.size());
  for (const auto& [of, watch] : inner_->watches) {
    std::string saved;
    BAVN_CHECK(watch.save(saved));
    w.fixed(of);
    w.text(saved);
  }
  std::string digests;
  if (inner_->options.digests != nullptr) BAVN_CHECK(inner_->options.digests->save(digests));
  w.text(digests);
  return {};
}

Result<void> Desk::load(std::string_view saved) {
  const auto corrupt = [] {
    return fail(Code::corrupt, "the saved state of notices cannot be read; it is made again from history");
  };
  if (!saved.starts_with(kMagic)) return corrupt();
  ByteReader r(saved.substr(kMagic.size()));
  std::map<std::uint16_t, Watch> watches;
  const std::size_t n = r.count(kWatches, 3);
  const std::lock_guard lock(inner_->mutex);
  for (std::size_t i = 0; i < n; ++i) {
    const MunicipalityId of{r.fixed<std::uint16_t>()};
    const std::string_view bytes = r.text();
    if (r.bad()) return corrupt();
    Watch w(of, inner_->community, inner_->options.watch, inner_->options.key);
    BAVN_CHECK(w.load(bytes));
    w.use_exercises(inner_->all_exercises());
    if (!watches.emplace(of.value, std::move(w)).second) return corrupt();
  }
  const std::string_view digests = r.text();
  if (r.bad() || r.left() != 0) return corrupt();
  if (inner_->options.digests != nullptr && !digests.empty()) BAVN_CHECK(inner_->options.digests->load(digests));
  BAVN_TRY(const auto named, inner_->state.read([](store::Reader& reader) {
    return reader.all<NamedRow>("SELECT municipality, payload FROM node_notice_named ORDER BY at_us, part");
  }));
  inner_->watches = std::move(watches);
  inner_->know(named);
  return {};
}

Duration Desk::memory() const {
  Duration most = inner_->options.watch.baseline + inner_->options.watch.chain;
  if (inner_->options.digests != nullptr) most = std::max(most, inner_->options.digests->memory());
  return most;
}

void Desk::use_community(std::shared_ptr<const Community> community) {
  const std::lock_guard lock(inner_->mutex);
  inner_->community = std::move(community);
  for (auto& [of, w] : inner_->watches) w.use_community(inner_->community);
}

Result<bool> Desk::take_entry(store::Tx& tx, std::string_view kind, std::string_view payload,
                              MunicipalityId municipality) {
  Inner& in = *inner_;
  if (kind == "exercise") {
    BAVN_TRY(const Exercise e, read_exercise(payload));
    const std::lock_guard lock(in.mutex);
    if (in.exercises.size() >= kExercises && !in.exercises.contains(e.id))
      return fail(Code::conflict, "more than 1,000 exercises are registered", e.id);
    BAVN_CHECK(
        tx.exec("INSERT INTO node_notice_exercise (id, sender, url, from_us, until_us, withdrawn) VALUES (:id, "
                ":sender, :url, :from, "
                ":until, :withdrawn) ON CONFLICT (id) DO UPDATE SET sender = :sender, url = :url, from_us = :from, "
                "until_us = :until, "
                "withdrawn = :withdrawn",
                {{"id", e.id},
                 {"sender", e.sender},
                 {"url", e.url},
                 {"from", e.from_us},
                 {"until", e.until_us},
                 {"withdrawn", e.withdrawn}}));
    std::erase_if(in.exercises, [&](const auto& x) { return x.second.until_us < micros(tx.now()) - kNamedKept; });
    in.exercises[e.id] = e;
    for (auto& [of, w] : in.watches) w.use_exercises(in.all_exercises());
    return true;
  }
  if (kind == "sender_ids") {
    BAVN_TRY(const event::SenderIds ids, net::from_json<event::SenderIds>(payload, net::Unknown::ignore));
    if (ids.notice.empty() || ids.notice.size() > 100 || ids.sender.size() > 320 || ids.message_ids.size() > 2000)
      return fail(Code::bad_input, "a sender notice without an id, or with more than is allowed", "sender_ids");
    BAVN_CHECK(
        tx.exec("INSERT INTO node_notice_named (notice, part, municipality, payload, at_us) VALUES (:n, :part, :m, "
                ":payload, :now) ON "
                "CONFLICT DO NOTHING",
                {{"n", ids.notice}, {"part", ids.part}, {"m", municipality}, {"payload", payload}, {"now", tx.now()}}));
    const std::lock_guard lock(in.mutex);
    if (Watch* w = in.watch(municipality)) w->know_notice(ids);
    return true;
  }
  if (kind == "reveal" || kind == "digest_key" || kind == "harmless") {
    if (in.options.digests == nullptr) return true;
    const std::lock_guard lock(in.mutex);
    BAVN_CHECK(in.options.digests->take_entry(tx, kind, payload, municipality));
    return true;
  }
  return false;
}

// ---- for people -------------------------------------------------------------------------------------------------------------------------

Result<std::vector<NoticedRow>> Desk::list(const Scope& scope, const NoticedFilter& f) const {
  if (!scope.may(Right::alert_read)) return fail(Code::forbidden, "what was noticed may not be read with this key");
  const std::int64_t limit = std::clamp<std::int64_t>(f.limit, 1, 1000);
  return inner_->state.read([&](store::Reader& r) -> Result<std::vector<NoticedRow>> {
    std::int64_t before_us = std::numeric_limits<std::int64_t>::max();
    if (!f.before.empty()) {
      BAVN_TRY(const auto at,
               r.one<std::int64_t>("SELECT noticed_us FROM node_notice WHERE id = :id", {{"id", f.before}}));
      if (!at) return fail(Code::not_found, "there is no such notice to go on from", f.before);
      before_us = *at;
    }
    std::vector<NoticedRow> rows;
    // A node has few municipalities: what the scope does not see is left out here.
    static const std::string kSql =
        "SELECT " + std::string(kColumns) +
        " FROM node_notice WHERE (:kind = '' OR kind = :kind) AND (:m < 0 OR municipality = :m) AND updated_us >= "
        ":since AND (noticed_us, id) < (:before_us, :before) ORDER BY noticed_us DESC, id DESC LIMIT 10000";
    BAVN_CHECK(r.each<NoticedRow>(kSql,
                                  {{"kind", f.kind},
                                   {"m", f.municipality ? std::int64_t{f.municipality->value} : std::int64_t{-1}},
                                   {"since", f.since_us},
                                   {"before_us", before_us},
                                   {"before", f.before}},
                                  [&](NoticedRow row) -> Result<void> {
                                    if (static_cast<std::int64_t>(rows.size()) < limit &&
                                        scope.sees(MunicipalityId{static_cast<std::uint16_t>(row.municipality)}))
                                      rows.push_back(std::move(row));
                                    return {};
                                  }));
    return rows;
  });
}

Result<NoticedMore> Desk::show(const Scope& scope, std::string_view id) const {
  if (!scope.may(Right::alert_read)) return fail(Code::forbidden, "what was noticed may not be read with this key");
  return inner_->state.read([&](store::Reader& r) -> Result<NoticedMore> {
    NoticedMore more;
    static const std::string kSql = "SELECT " + std::string(kColumns) + " FROM node_notice WHERE id = :id";
    BAVN_TRY(auto row, r.one<NoticedRow>(kSql, {{"id", id}}));
    if (!row || !scope.sees(MunicipalityId{static_cast<std::uint16_t>(row->municipality)}))
      return fail(Code::not_found, "there is no such notice", std::string(id));
    more.notice = std::move(*row);
    BAVN_TRY(
        more.signs,
        r.all<event::Sign>("SELECT \"group\", kind, at_us, detail FROM node_notice_sign WHERE notice = :id ORDER BY nr",
                           {{"id", id}}));
    BAVN_TRY(more.domains,
             r.all<NoticedDomain>(
                 "SELECT domain, mails FROM node_notice_domain WHERE notice = :id ORDER BY mails DESC, domain",
                 {{"id", id}}));
    BAVN_TRY(more.message_ids,
             r.all<std::string>("SELECT DISTINCT message_id FROM node_notice_mail WHERE notice = :id ORDER BY part, "
                                "message_id LIMIT :limit",
                                {{"id", id}, {"limit", kShownIds}}));
    return more;
  });
}

Result<std::vector<Exercise>> Desk::exercises(const Scope& scope) const {
  if (!scope.may(Right::alert_read)) return fail(Code::forbidden, "exercises may not be read with this key");
  const std::lock_guard lock(inner_->mutex);
  return inner_->all_exercises();
}

Result<void> Desk::judge(const Scope& scope, std::string_view id, std::string_view judgement, std::string_view why) {
  if (!scope.may(Right::alert_write)) return fail(Code::forbidden, "what was noticed may not be judged with this key");
  if (judgement != "real" && judgement != "false")
    return fail(Code::bad_input, "a notice is judged real or false", std::string(judgement));
  if (why.size() > 1000) return fail(Code::bad_input, "the reason is longer than 1,000 bytes");
  std::optional<JudgedRow> row;
  BAVN_CHECK(inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(row,
             tx.one<JudgedRow>("SELECT kind, concern, municipality FROM node_notice WHERE id = :id", {{"id", id}}));
    const MunicipalityId of{static_cast<std::uint16_t>(row ? row->municipality : 0)};
    if (!row || !scope.sees(of)) return fail(Code::not_found, "there is no such notice", std::string(id));
    BAVN_CHECK(
        tx.exec("UPDATE node_notice SET judged = :j, judged_by = :who, judged_why = :why, judged_us = :now, updated_us "
                "= :now WHERE id = "
                ":id",
                {{"j", judgement}, {"who", scope.who()}, {"why", why}, {"now", tx.now()}, {"id", id}}));
    std::string detail;
    JsonWriter(detail).object().member("state", judgement).member("why", why).member("kind", row->kind).end();
    BAVN_CHECK(tx.audit({scope.who(), "notice.judged", std::string(id), detail}));
    return tx.emit("notice.judged", id, detail, of);
  }));
  const std::lock_guard lock(inner_->mutex);
  if (row->kind == "sender" || row->kind == "burst")
    if (const auto w = inner_->watches.find(static_cast<std::uint16_t>(row->municipality)); w != inner_->watches.end())
      w->second.judged(row->concern, judgement == "real");
  return {};
}

std::map<std::uint16_t, WatchCounts> Desk::counts() const {
  const std::lock_guard lock(inner_->mutex);
  std::map<std::uint16_t, WatchCounts> all;
  for (const auto& [of, w] : inner_->watches) all.emplace(of, w.counts());
  return all;
}

std::vector<store::RetentionRule> notice_retention() {
  std::vector<store::RetentionRule> rules;
  rules.push_back(
      {"notices", 365,
       "Whether a mailbox was taken is asked for a year after, when its data turns up; the list of mails with it.",
       [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
         BAVN_TRY(const auto ids, tx.all<std::string>("SELECT id FROM node_notice WHERE updated_us < :before LIMIT 20",
                                                      {{"before", before}}));
         for (const std::string& id : ids)
           for (const char* sql :
                {"DELETE FROM node_notice_mail WHERE notice = :id", "DELETE FROM node_notice_domain WHERE notice = :id",
                 "DELETE FROM node_notice_sign WHERE notice = :id", "DELETE FROM node_notice WHERE id = :id"})
             BAVN_CHECK(tx.exec(sql, {{"id", id}}));
         return static_cast<std::int64_t>(ids.size());
       }});
  rules.push_back(store::retention_rule(
      "named_mail", 7, "Harm follows a mail within days; which notice named it is of no use later.",
      "DELETE FROM node_notice_named WHERE (notice, part, municipality) IN (SELECT notice, part, municipality "
      "FROM node_notice_named WHERE at_us < :before LIMIT 10000)"));
  rules.push_back(store::retention_rule(
      "exercises", 365, "What was an exercise is asked when its figures are compared with the year before.",
      "DELETE FROM node_notice_exercise WHERE id IN (SELECT id FROM node_notice_exercise WHERE until_us < "
      ":before LIMIT 10000)"));
  return rules;
}

}  // namespace bavn::notice
