#include "beacon/follower.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "net/json_value.hpp"

namespace bavn::beacon {

namespace {

constexpr Duration kEarly = std::chrono::minutes{1};  // before not_before and still fine: clocks differ
constexpr std::uint64_t kMostBase = 16ULL << 30U;

std::optional<std::uint64_t> digits(std::string_view s) {
  std::uint64_t v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || error != std::errc{} || end != s.data() + s.size()) return std::nullopt;
  return v;
}

bool is_bulk(std::string_view stream) {
  return stream.starts_with("bulk/");
}

Cursor behind(const Entry& e) {
  return {e.head.epoch, e.head.seq, hash_of(e.head)};
}

}  // namespace

std::string to_string(Position p) {
  return fmt::format("{}.{}", p.urgent, p.bulk);
}

Result<Position> parse_position(std::string_view text) {
  const auto dot = text.find('.');
  const auto urgent = digits(text.substr(0, dot));
  const auto bulk = dot == std::string_view::npos ? std::nullopt : digits(text.substr(dot + 1));
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62U;
  if (!urgent || !bulk || *urgent > kLargest || *bulk > kLargest)
    return fail(Code::bad_input, "not a position of the streams (\"urgent.bulk\")");
  return Position{*urgent, *bulk};
}

std::string_view to_string(Following f) {
  switch (f) {
    case Following::off: return "off";
    case Following::connecting: return "connecting";
    case Following::catching_up: return "catching_up";
    case Following::live: return "live";
    case Following::waiting: return "waiting";
    case Following::clock_trouble: return "clock_trouble";
    case Following::forked: return "forked";
  }
  return "off";
}

Follower::Follower(FollowerOptions options, Saved saved, std::function<std::uint64_t(std::uint64_t below)> random)
    : options_(std::move(options)), saved_(std::move(saved)), random_(std::move(random)) {
  status_.position = saved_.position;
  status_.epoch = saved_.epoch;
  reset_tips();
}

std::vector<Action> Follower::take() {
  return std::exchange(actions_, {});
}

FollowerStatus Follower::status() const {
  return status_;
}

void Follower::say(Following state, std::string text) {
  status_.state = state;
  status_.text = std::move(text);
}

void Follower::start(Instant) {
  if (phase_ != Phase::off) return;
  if (saved_.fork) {
    say(Following::forked, saved_.fork->why);
    return;
  }
  phase_ = Phase::asked;
  say(Following::connecting, "");
  actions_.push_back(Connect{Duration{0}, to_string(saved_.position), have()});
}

void Follower::stop() {
  if (phase_ == Phase::asked || phase_ == Phase::open) actions_.push_back(Disconnect{});
  phase_ = Phase::off;
  urgent_.clear();
  bulk_.clear();
  waiting_bytes_ = 0;
  if (!forked()) say(Following::off, "");
}

/// Full jitter: anything up to first x 2^tries, so that 98 nodes do not come back in one moment.
Duration Follower::pause(unsigned tries) {
  const auto most = std::min(options_.backoff_most, options_.backoff_first * (std::int64_t{1} << std::min(tries, 12U)));
  return options_.backoff_first / 4 +
         Duration{static_cast<std::int64_t>(random_(static_cast<std::uint64_t>(most.count()) + 1))};
}

/// The streams are behind everything that was applied, is being applied, or will come with a base.
void Follower::reset_tips() {
  tips_ = saved_.cursors;
  for (const auto& step : applying_)
    if (step.what != Step::What::evidence) {
      tips_[step.entry.head.stream] = behind(step.entry);
      if (step.what == Step::What::base && step.jump && step.base.covers_seq > 0)
        tips_["bulk/" + std::string(audience_of(step.entry.head.stream))] = {
            step.base.covers_epoch, step.base.covers_seq, step.base.covers_hash};
    }
  for (const auto& work : bases_)
    if (work.jump && work.ref.covers_seq > 0)
      tips_[work.bulk_stream] = {work.ref.covers_epoch, work.ref.covers_seq, work.ref.covers_hash};
}

std::string Follower::have() const {
  std::string out;
  for (const auto& [stream, cursor] : tips_)
    fmt::format_to(std::back_inserter(out), "{}{}:{}", out.empty() ? "" : ",", stream, cursor.seq);
  return out;
}

void Follower::reconnect(Instant, Following state, std::string why) {
  if (phase_ == Phase::off) return;
  if (phase_ != Phase::draining) actions_.push_back(Disconnect{});
  urgent_.clear();
  bulk_.clear();
  waiting_bytes_ = 0;
  reset_tips();
  phase_ = Phase::asked;
  ++status_.reconnects;
  actions_.push_back(Connect{pause(failures_++), to_string(saved_.position), have()});
  say(state, std::move(why));
}

/// What came is not what the hub may send. Kept as evidence; the stream begins again where it was good.
void Follower::refuse(Instant now, const std::string& why, const Entry* entry) {
  ++status_.refused;
  Step step;
  step.what = Step::What::evidence;
  step.why = why;
  if (entry) step.entry = *entry;
  if (evidence_.size() < 16) evidence_.push_back(std::move(step));
  reconnect(now, Following::waiting, why);
  proceed(now);
}

void Follower::fork(std::string_view stream, std::uint64_t seq, const Entry& offered, std::string why) {
  Fork fork{std::string(stream), seq, {}, encode(offered), std::move(why)};
  for (const auto* lane : {&urgent_, &bulk_})
    for (const auto& w : *lane)
      if (w.entry.head.stream == stream && w.entry.head.seq == seq) fork.known = encode(w.entry);
  fork.why = fmt::format(
      "{} of the hub's stream {} exists twice: {}. Nothing more is taken from the hub. Ask the people at the hub by "
      "telephone, then settle it here",
      seq, stream, fork.why);
  saved_.fork = fork;
  if (phase_ == Phase::asked || phase_ == Phase::open) actions_.push_back(Disconnect{});
  phase_ = Phase::off;
  urgent_.clear();
  bulk_.clear();
  bases_.clear();
  segment_.reset();
  waiting_bytes_ = 0;
  say(Following::forked, fork.why);
  actions_.push_back(KeepFork{std::move(fork)});
}

void Follower::settle_fork(Instant now) {
  if (!saved_.fork) return;
  ForgetFork forget{saved_.fork->stream, std::nullopt};
  // Zeros for a hash: what comes next there is believed, whatever it stands on.
  if (saved_.fork->seq > 1) forget.cursor = Cursor{0, saved_.fork->seq - 1, {}};
  if (forget.cursor) saved_.cursors[forget.stream] = *forget.cursor;
  else saved_.cursors.erase(forget.stream);
  saved_.fork.reset();
  reset_tips();
  actions_.push_back(std::move(forget));
  start(now);
}

// ---- the stream

void Follower::on_event(Instant now, const net::SseEvent& event) {
  if (phase_ != Phase::asked && phase_ != Phase::open) return;
  status_.last_heard = now;
  if (event.event == "hello") on_hello(now, event.data);
  else if (event.event == "entry" || event.event == "anchor" || event.event == "base") on_entry(now, event);
  else if (event.event == "live" && phase_ == Phase::open) {
    failures_ = 0;
    if (status_.state == Following::catching_up) status_.state = Following::live;  // what the greeting told stays said
  }
  // "tick" and what a later hub may say: heard, nothing to do
  proceed(now);
}

void Follower::on_end(Instant now, const Error& error) {
  if (phase_ != Phase::asked && phase_ != Phase::open) return;
  reconnect(now, Following::waiting,
            error.code == Code::forbidden
                ? "The hub refuses this node's certificate, or is not the hub that was enrolled with: " + error.what
                : "No connection to the hub: " + error.what);
  proceed(now);
}

void Follower::on_hello(Instant now, std::string_view data) {
  const auto document = net::JsonDocument::parse(data);
  if (!document) return refuse(now, "The hub's greeting cannot be read: " + document.error().what, nullptr);
  const auto statements = document->root()["statements"];
  if (!statements.is_array() || statements.size() == 0 || statements.size() > 1000)
    return refuse(now, "The hub's greeting has no statements that certify its key", nullptr);
  std::map<std::uint64_t, CertifiedKey> keys;
  for (const net::JsonValue s : statements) {
    auto key = options_.check(s.text_or(""));
    if (!key)
      return refuse(now,
                    "The hub's statement is not certified by the root key pinned at enrolment: " + key.error().what,
                    nullptr);
    keys.insert_or_assign(key->epoch, *key);
  }
  const CertifiedKey& newest = keys.rbegin()->second;
  if (newest.epoch < saved_.epoch)
    return refuse(
        now,
        fmt::format("A hub of epoch {} answered, but epoch {} has taken over: it is an old hub, nothing of it is taken",
                    newest.epoch, saved_.epoch),
        nullptr);
  if (now < newest.not_before - kEarly || now > newest.not_after)
    return refuse(
        now,
        fmt::format("The hub's statement is valid from {} to {}, and our clock says {}: the clock of this machine is "
                    "wrong, or the hub needs a new statement",
                    format_time(newest.not_before), format_time(newest.not_after), format_time(now)),
        nullptr);
  if (newest.epoch > saved_.epoch) {
    saved_.epoch = newest.epoch;
    status_.epoch = newest.epoch;
    actions_.push_back(KeepEpoch{newest.epoch});
  }
  keys_ = std::move(keys);
  phase_ = Phase::open;
  std::string text;
  for (const net::JsonValue tip : document->root()["streams"])
    if (const auto found = tips_.find(tip.key()); found != tips_.end() && tip.natural().value_or(0) < found->second.seq)
      text = fmt::format("The hub's stream {} ends at {}, but it gave us {} before: it lost entries", tip.key(),
                         tip.natural().value_or(0), found->second.seq);
  say(Following::catching_up, std::move(text));
}

bool Follower::belongs(std::string_view stream) const {
  if (is_bulk(stream)) return true;
  if (stream == "urgent/all") return true;
  if (!stream.starts_with("urgent/")) return false;
  const auto id = digits(audience_of(stream));
  return std::any_of(options_.municipalities.begin(), options_.municipalities.end(),
                     [&](MunicipalityId m) { return id == m.value; });
}

void Follower::on_entry(Instant now, const net::SseEvent& event) {
  if (phase_ != Phase::open) return refuse(now, "The hub sent an entry before its greeting", nullptr);
  const auto bytes = from_base64(event.data);
  if (!bytes) return refuse(now, "An entry cannot be read: " + bytes.error().what, nullptr);
  auto entry = decode_entry(*bytes);
  if (!entry) return refuse(now, "An entry cannot be read: " + entry.error().what, nullptr);
  const auto key = keys_.find(entry->head.epoch);
  if (key == keys_.end())
    return refuse(now, fmt::format("An entry of epoch {}, for which the hub has no statement", entry->head.epoch),
                  &*entry);
  if (!signed_by(key->second.key, *entry))
    return refuse(now,
                  fmt::format("The signature of {} in stream {} is not the hub's: it was forged or changed on its way",
                              entry->head.seq, entry->head.stream),
                  &*entry);
  if (event.event == "base") return offer_base(now, std::move(*entry));
  const auto position = parse_position(event.id);
  if (!position) return refuse(now, "An entry without a position", &*entry);
  if (!belongs(entry->head.stream))
    return refuse(now,
                  fmt::format("The hub sent an entry of stream {}, which is not for this node", entry->head.stream),
                  &*entry);
  accept(now, std::move(*entry), *position, event.event == "anchor");
}

std::optional<Hash> Follower::known(std::string_view stream, std::uint64_t seq) const {
  for (const auto* lane : {&urgent_, &bulk_})
    for (const auto& w : *lane)
      if (w.entry.head.stream == stream && w.entry.head.seq == seq) return hash_of(w.entry.head);
  for (const auto& step : applying_)
    if (step.entry.head.stream == stream && step.entry.head.seq == seq && step.what != Step::What::evidence)
      return hash_of(step.entry.head);
  if (const auto tip = tips_.find(stream); tip != tips_.end() && tip->second.seq == seq) return tip->second.hash;
  return options_.known_hash ? options_.known_hash(stream, seq) : std::nullopt;
}

void Follower::accept(Instant now, Entry entry, Position position, bool anchor) {
  const Head& head = entry.head;
  const auto tip = tips_.find(head.stream);
  std::uint64_t missed = 0;
  if (tip == tips_.end()) {
    if (head.seq == 1 && head.previous != Hash{})
      return refuse(now, "The first entry of stream " + head.stream + " has one before it", &entry);
  } else {
    const Cursor at = tip->second;
    if (head.seq <= at.seq) {
      const auto had = known(head.stream, head.seq);
      if (had && *had != hash_of(head))
        return fork(head.stream, head.seq, entry, "the hub signed two different entries for one place");
      ++status_.duplicates;
      return;
    }
    if (head.epoch < at.epoch)
      return refuse(now,
                    fmt::format("{} of stream {} is of epoch {}, but epoch {} has taken over: it comes from an old hub",
                                head.seq, head.stream, head.epoch, at.epoch),
                    &entry);
    if (head.seq == at.seq + 1) {
      if (head.previous != at.hash && at.hash != Hash{})
        return fork(head.stream, at.seq, entry, "the entry after it stands on another one than ours");
    } else if (!anchor) {
      ++status_.gaps;
      return reconnect(now, Following::waiting,
                       fmt::format("Entries {} to {} of stream {} are missing: asked for again", at.seq + 1,
                                   head.seq - 1, head.stream));
    }
    if (anchor) missed = head.seq - at.seq;
  }
  tips_[head.stream] = behind(entry);
  const std::size_t bytes = entry.payload.size() + 512;
  waiting_bytes_ += bytes;
  auto& lane = is_bulk(head.stream) ? bulk_ : urgent_;
  lane.push_back({std::move(entry), position, bytes, anchor, missed});
  if (waiting_bytes_ > options_.pending_bytes && phase_ == Phase::open) {
    actions_.push_back(Disconnect{});  // it goes on when these are applied
    phase_ = Phase::draining;
  }
}

void Follower::offer_base(Instant now, Entry entry) {
  const Head& head = entry.head;
  if (!head.stream.starts_with("base/") || entry.kind != "base")
    return refuse(now, "A base that is none: stream " + head.stream + ", kind " + entry.kind, &entry);
  auto ref = decode_base_ref(entry.payload);
  if (!ref) return refuse(now, ref.error().what, &entry);
  if (ref->file.size > kMostBase || ref->items.size > kMaxSegment * 2)
    return refuse(now, "A base larger than a base may be", &entry);
  if (const auto tip = tips_.find(head.stream); tip != tips_.end() && head.seq <= tip->second.seq) {
    if (head.seq == tip->second.seq && tip->second.hash != hash_of(head))
      return fork(head.stream, head.seq, entry, "the hub signed two different bases for one place");
    ++status_.duplicates;
    return;
  }
  const auto waiting =
      std::find_if(bases_.begin(), bases_.end(), [&](const BaseWork& w) { return w.entry.head.stream == head.stream; });
  bool jump = false;
  if (waiting != bases_.end()) {
    if (head.seq == waiting->entry.head.seq && hash_of(head) != hash_of(waiting->entry.head))
      return fork(head.stream, head.seq, entry, "the hub signed two different bases for one place");
    if (head.seq <= waiting->entry.head.seq) {
      // The hub goes on behind what it covers; what was to come before that may have gone with the last connection.
      const auto at = tips_.find(waiting->bulk_stream);
      if (!waiting->jump && waiting->ref.covers_seq > 0 &&
          (at == tips_.end() || at->second.seq < waiting->ref.covers_seq)) {
        waiting->jump = true;
        tips_[waiting->bulk_stream] = {waiting->ref.covers_epoch, waiting->ref.covers_seq, waiting->ref.covers_hash};
        work_on_base();
      }
      ++status_.duplicates;
      return;
    }
    jump = waiting->jump;
    bases_.erase(waiting);
  }
  BaseWork work;
  work.id = ++last_fetch_;
  work.bulk_stream = "bulk/" + std::string(audience_of(head.stream));
  if (ref->covers_seq > 0) {
    const auto tip = tips_.find(work.bulk_stream);
    if (const auto had = known(work.bulk_stream, ref->covers_seq); had && *had != ref->covers_hash)
      return fork(work.bulk_stream, ref->covers_seq, entry, "a base stands on another entry than ours");
    if (tip == tips_.end() || tip->second.seq < ref->covers_seq) {
      jump = true;
      tips_[work.bulk_stream] = {ref->covers_epoch, ref->covers_seq, ref->covers_hash};
    }
  } else {
    jump = !tips_.contains(work.bulk_stream) && ref->items.size > 0;
  }
  if (jump) {  // what is covered need not be applied any more
    std::erase_if(bulk_, [&](const Waiting& w) {
      const bool covered = w.entry.head.stream == work.bulk_stream && w.entry.head.seq <= ref->covers_seq;
      if (covered) waiting_bytes_ -= w.bytes;
      return covered;
    });
  }
  const std::string path = fmt::format("/beacon/v1/base/{}/{}", audience_of(head.stream), head.seq);
  work.jump = jump;
  work.file = {path, ref->file, {}, 0, 0, 0};
  work.items = {path + "/items", ref->items, {}, 0, 0, 0};
  work.ref = *ref;
  work.entry = std::move(entry);
  bases_.push_back(std::move(work));
  work_on_base();
}

// ---- downloads

void Follower::fetch(Fetch::Lane lane, Download& d, Duration after) {
  if (d.asked != 0) return;
  d.asked = ++last_fetch_;
  actions_.push_back(
      Fetch{lane, d.asked, d.path, d.done, std::min<std::uint64_t>(options_.part_bytes, d.ref.size - d.done), after});
}

/// True: all bytes are there. keep: they are appended to d.bytes; else the caller writes them. Errors count as a try.
Result<bool> Follower::took_part(Download& d, Result<net::ClientReply> reply, bool keep) {
  d.asked = 0;
  const std::uint64_t wanted = std::min<std::uint64_t>(options_.part_bytes, d.ref.size - d.done);
  std::string why;
  if (!reply) why = reply.error().what;
  else if (reply->status != 206 && reply->status != 200) why = fmt::format("HTTP {}", reply->status);
  else if (reply->body.size() != wanted || (reply->status == 200 && wanted != d.ref.size))
    why = fmt::format("the answer has {} bytes instead of {}", reply->body.size(), wanted);
  if (!why.empty()) {
    ++d.tries;
    return fail(reply && reply->status == 404 ? Code::not_found : Code::unavailable, d.path + ": " + why);
  }
  d.done += wanted;
  if (keep) d.bytes += reply->body;
  if (d.done < d.ref.size) return false;
  if (keep && hash_of(std::string_view(d.bytes)) != d.ref.hash) {
    d.bytes.clear();
    d.done = 0;
    ++d.tries;
    return fail(Code::corrupt, d.path + ": what came is not what the hub signed");
  }
  return true;
}

void Follower::fetch_segment(Instant) {
  const Entry& entry = bulk_.front().entry;
  const auto ref = decode_file_ref(entry.payload);
  if (!ref || ref->size == 0 || ref->size > kMaxSegment * 2) {
    segment_items_.emplace(ref ? ref->hash : entry.head.payload,
                           fail(Code::bad_input, ref ? "a segment of impossible size" : ref.error().what));
    return;
  }
  if (segment_ && segment_->ref.hash != ref->hash) segment_.reset();
  if (!segment_)
    segment_ = Download{
        fmt::format("/beacon/v1/bulk/{}/{}", audience_of(entry.head.stream), entry.head.seq), *ref, {}, 0, 0, 0};
  fetch(Fetch::Lane::segment, *segment_, segment_->tries == 0 ? Duration{0} : pause(segment_->tries));
}

void Follower::on_part(Instant now, std::uint64_t id, Result<net::ClientReply> reply) {
  if (segment_ && segment_->asked == id) {
    const auto whole = took_part(*segment_, std::move(reply), true);
    if (!whole) {
      ++status_.refused;
      if (phase_ == Phase::open) say(status_.state, whole.error().what);
      // Gone at the hub: a base or an anchor replaces it, and comes with a new connection.
      if (whole.error().code == Code::not_found) reconnect(now, Following::waiting, whole.error().what);
    } else if (*whole) {
      segment_items_.emplace(segment_->ref.hash, decode_segment(segment_->bytes));
      segment_.reset();
      if (phase_ == Phase::open && status_.state == Following::live) say(Following::live, "");
    }
  } else if (!bases_.empty() && bases_.front().file.asked == id) {
    BaseWork& work = bases_.front();
    const std::uint64_t from = work.file.done;
    std::string body = reply ? reply->body : std::string{};
    const auto whole = took_part(work.file, std::move(reply), false);
    if (!whole) {
      if (whole.error().code == Code::not_found) {  // a newer one replaced it; its offer comes with the next connection
        const bool jump = work.jump;
        bases_.pop_front();
        if (jump) reconnect(now, Following::waiting, whole.error().what);
      } else {
        say(status_.state, whole.error().what);
        work_on_base(pause(work.file.tries));
      }
    } else {
      work.looking = true;
      actions_.push_back(WriteBase{work.id, work.ref, from, std::move(body)});
    }
  } else if (!bases_.empty() && bases_.front().items.asked == id) {
    BaseWork& work = bases_.front();
    const auto whole = took_part(work.items, std::move(reply), true);
    if (!whole) {
      say(status_.state, whole.error().what);
      if (whole.error().code == Code::not_found) {
        bases_.pop_front();
        reconnect(now, Following::waiting, whole.error().what);
      }
    } else if (*whole) {
      auto items = decode_segment(work.items.bytes);
      work.items.bytes.clear();
      if (items) work.decoded = std::move(*items);
      else {
        const Entry entry = std::move(work.entry);
        bases_.pop_front();
        return refuse(now, "The items of a base cannot be read: " + items.error().what, &entry);
      }
    }
    if (!bases_.empty())
      work_on_base(bases_.front().items.tries == 0 ? Duration{0} : pause(bases_.front().items.tries));
  }
  proceed(now);
}

void Follower::work_on_base(Duration after) {
  if (bases_.empty()) return;
  BaseWork& work = bases_.front();
  if (work.looking || work.file.asked != 0 || work.items.asked != 0 || work.complete()) return;
  if (work.file_name.empty()) {
    if (!work.looked) {
      work.looking = true;
      actions_.push_back(FindBase{work.id, std::string(audience_of(work.entry.head.stream)), work.ref});
    } else if (work.file.done >= work.ref.file.size) {
      work.looking = true;
      actions_.push_back(FinishBase{work.id, std::string(audience_of(work.entry.head.stream)), work.ref});
    } else {
      fetch(Fetch::Lane::base, work.file, after);
    }
  } else if (work.ref.items.size == 0) {
    work.decoded.emplace();
  } else {
    fetch(Fetch::Lane::base, work.items, after);
  }
}

void Follower::on_base_found(Instant now, std::uint64_t id, Result<Found> found) {
  if (bases_.empty() || !bases_.front().looking || bases_.front().id != id) return;
  BaseWork& work = bases_.front();
  work.looking = false;
  work.looked = true;
  if (!found) {  // what was fetched is not what was signed, or the disk failed: from the start, later
    ++status_.refused;
    work.file.done = 0;
    say(status_.state, found.error().what);
    work_on_base(pause(++work.file.tries));
  } else if (!found->file.empty()) {
    work.file_name = std::move(found->file);
    work_on_base();
  } else {
    work.file.done = std::min(found->partial, work.ref.file.size);
    work_on_base();
  }
  proceed(now);
}

void Follower::on_written(Instant now, std::uint64_t id, Result<void> written) {
  if (bases_.empty() || !bases_.front().looking || bases_.front().id != id) return;
  BaseWork& work = bases_.front();
  work.looking = false;
  if (!written) {
    say(status_.state, "The base cannot be written: " + written.error().what);
    work.looked = false;  // how much of it is there must be seen anew
    work.file.done = 0;
    ++work.file.tries;
    return;  // on_tick goes on
  }
  work_on_base();
  proceed(now);
}

// ---- applying

Follower::Verdict Follower::verdict(Instant now, const Head& head) const {
  const auto on = [&](Instant t) { return t < head.not_before - kEarly ? -1 : t > head.not_after ? 1 : 0; };
  const int ours = on(now), hubs = on(now - offset_.value_or(Duration{0}));
  if (ours == 0 && hubs == 0) return Verdict::valid;
  return ours == 1 && hubs == 1 ? Verdict::expired : Verdict::unsure;
}

void Follower::take_urgent(Instant now, std::vector<Step>& steps) {
  while (!urgent_.empty() && steps.size() < options_.apply_at_once) {
    Waiting& w = urgent_.front();
    Step step;
    if (w.anchor) {
      step.what = Step::What::skip;
      step.missed = w.missed;
    } else {
      switch (verdict(now, w.entry.head)) {
        case Verdict::valid: step.what = w.entry.kind == "epoch" ? Step::What::skip : Step::What::entry; break;
        case Verdict::expired:
          step.what = Step::What::skip;
          ++status_.expired;
          break;
        case Verdict::unsure:
          say(Following::clock_trouble,
              fmt::format("{} of stream {} is valid from {} to {}, and our clock says {}{}: it waits until the clock "
                          "of this machine is right",
                          w.entry.head.seq, w.entry.head.stream, format_time(w.entry.head.not_before),
                          format_time(w.entry.head.not_after), format_time(now),
                          offset_ ? fmt::format(" ({} s from the hub's)", offset_->count() / 1'000'000) : ""));
          return;
      }
    }
    step.position = {w.position.urgent, 0};
    step.entry = std::move(w.entry);
    waiting_bytes_ -= w.bytes;
    urgent_.pop_front();
    steps.push_back(std::move(step));
  }
  if (status_.state == Following::clock_trouble)
    say(phase_ == Phase::open ? Following::live : Following::connecting, "");
}

void Follower::take_bulk(Instant now, std::vector<Step>& steps) {
  while (!bulk_.empty() && steps.size() < options_.apply_at_once) {
    Waiting& w = bulk_.front();
    const bool covered_soon = std::any_of(bases_.begin(), bases_.end(), [&](const BaseWork& b) {
      return b.jump && b.bulk_stream == w.entry.head.stream;
    });
    if (covered_soon) return;  // first the base
    Step step;
    step.what = Step::What::skip;
    if (w.anchor) {
      step.missed = w.missed;
    } else if (w.entry.kind == "segment") {
      const auto v = verdict(now, w.entry.head);
      if (v == Verdict::unsure) return;
      if (v == Verdict::expired) {
        ++status_.expired;
      } else {
        const auto ref = decode_file_ref(w.entry.payload);
        const Hash wanted = ref ? ref->hash : w.entry.head.payload;
        if (!segment_items_ || segment_items_->first != wanted) {
          fetch_segment(now);
          if (!segment_items_ || segment_items_->first != wanted) return;
        }
        if (segment_items_->second) {
          step.what = Step::What::segment;
          step.items = std::move(*segment_items_->second);
        } else {
          step.why = "The hub signed a segment that cannot be read: " + segment_items_->second.error().what;
        }
        segment_items_.reset();
      }
    } else if (w.entry.kind != "epoch") {
      step.why = "An entry of kind " + w.entry.kind + " in stream " + w.entry.head.stream +
                 ": this node does not know what to do with it";
    }
    step.position = {0, w.position.bulk};
    step.entry = std::move(w.entry);
    waiting_bytes_ -= w.bytes;
    bulk_.pop_front();
    const bool heavy = step.what == Step::What::segment;
    steps.push_back(std::move(step));
    if (heavy) return;  // one segment a Tx
  }
}

void Follower::take_base(std::vector<Step>& steps) {
  if (bases_.empty() || !bases_.front().complete()) return;
  BaseWork& work = bases_.front();
  if (!work.jump && work.ref.covers_seq > 0) {
    const auto applied = saved_.cursors.find(work.bulk_stream);
    if (applied == saved_.cursors.end() ||
        applied->second.seq < work.ref.covers_seq) {  // deltas it holds are on their way
      if (bases_.size() > 1) {                        // they may wait for another base
        std::rotate(bases_.begin(), bases_.begin() + 1, bases_.end());
        work_on_base();
      }
      return;
    }
  }
  Step step;
  step.what = Step::What::base;
  step.entry = std::move(work.entry);
  step.base = work.ref;
  step.file = std::move(work.file_name);
  step.jump = work.jump;
  if (work.decoded) step.items = std::move(*work.decoded);
  tips_[step.entry.head.stream] = behind(step.entry);
  bases_.pop_front();
  steps.push_back(std::move(step));
  work_on_base();
}

void Follower::hand_out(std::vector<Step> steps) {
  applying_ = steps;
  actions_.push_back(Apply{std::move(steps)});
}

void Follower::proceed(Instant now) {
  if (!applying_.empty()) return;
  std::vector<Step> steps = std::exchange(evidence_, {});
  if (!forked()) {
    take_urgent(now, steps);
    take_base(steps);
    if (steps.empty() || steps.back().what != Step::What::base) take_bulk(now, steps);
  }
  if (!steps.empty()) return hand_out(std::move(steps));
  if (phase_ == Phase::draining && urgent_.empty() && bulk_.empty()) {
    phase_ = Phase::asked;
    actions_.push_back(Connect{Duration{0}, to_string(saved_.position), have()});
  }
}

void Follower::on_applied(Instant now, Result<void> result) {
  if (applying_.empty()) return;
  if (!result) {
    apply_again_ = now + pause(apply_failures_++);
    if (!forked()) say(status_.state, "What the hub sent cannot be applied yet, and waits: " + result.error().what);
    return;
  }
  for (const auto& step : applying_) {
    if (step.what == Step::What::evidence) continue;
    saved_.cursors[step.entry.head.stream] = behind(step.entry);
    if (step.what == Step::What::base && step.jump && step.base.covers_seq > 0)
      saved_.cursors["bulk/" + std::string(audience_of(step.entry.head.stream))] = {
          step.base.covers_epoch, step.base.covers_seq, step.base.covers_hash};
    saved_.position.urgent = std::max(saved_.position.urgent, step.position.urgent);
    saved_.position.bulk = std::max(saved_.position.bulk, step.position.bulk);
    status_.missed += step.missed;
    if (step.what == Step::What::entry) ++status_.applied;
    if (step.what == Step::What::segment) status_.applied += step.items.size();
  }
  status_.position = saved_.position;
  applying_.clear();
  if (apply_failures_ > 0 && !forked()) say(phase_ == Phase::open ? Following::live : status_.state, "");
  apply_failures_ = 0;
  proceed(now);
}

void Follower::on_tick(Instant now) {
  if (!applying_.empty() && apply_failures_ > 0 && now >= apply_again_) {
    apply_again_ = now + std::chrono::hours{1};  // until its answer
    actions_.push_back(Apply{applying_});
  }
  work_on_base();
  proceed(now);
}

}  // namespace bavn::beacon
