#include "input/sources/microsoft365/intake.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kDeliveryBytes = 512U << 10U;
constexpr std::size_t kDeliveryRecords = 1000;
constexpr std::size_t kKeyBytes = 16;
constexpr std::int64_t kMostKeys = 2'000'000;

std::string short_key(std::string_view key) {
  return sha256(key).substr(0, kKeyBytes);
}

struct PendingRow {
  std::string delivery;
  store::Blob keys, lines;
};
BOOST_DESCRIBE_STRUCT(PendingRow, (), (delivery, keys, lines))

Result<bool> is_marked(store::Reader& db, const std::string& source, const std::string& key16) {
  BAVN_TRY(const auto n, db.number("SELECT COUNT(*) FROM m365_seen WHERE source = :s AND key = :k",
                                   {{"s", source}, {"k", store::Blob{key16}}}));
  return n > 0;
}

Result<void> mark_key(store::Tx& tx, const std::string& source, const std::string& key16) {
  BAVN_CHECK(
      tx.exec("INSERT INTO m365_seen (source, key, at_us) VALUES (:s, :k, :t) ON CONFLICT (source, key) DO NOTHING",
              {{"s", source}, {"k", store::Blob{key16}}, {"t", tx.now()}}));
  return {};
}

}  // namespace

/// Records on their way; deliveries go out one after the other.
struct Intake::Batch {
  std::vector<Record> records;  // fresh ones
  std::vector<std::string> keys;
  std::size_t at = 0, end = 0;  // of the delivery under way
  std::string delivery, keys_blob, lines;
  Also also;
  Taken total;
  std::move_only_function<void(Result<Taken>)> then;
};

Intake::Intake(Runtime& runtime, QueueId queue, Sink& sink, store::State& state, Origin origin, std::string format)
    : runtime_(runtime),
      queue_(queue),
      sink_(sink),
      state_(state),
      origin_(std::move(origin)),
      format_(std::move(format)) {}

/// Answers come on threads of sink and store; the work goes on here, unless this is gone. Not bound by the queue's limit.
template <class F>
auto Intake::on_queue(F f) {
  return [weak = weak_from_this(), &runtime = runtime_, queue = queue_, f = std::move(f)]<class R>(R result) mutable {
    runtime.after(Duration{0}, queue, [weak, f = std::move(f), result = std::move(result)]() mutable {
      if (const auto self = weak.lock(); self && !self->stopped_) f(*self, std::move(result));
    });
  };
}

Result<std::vector<bool>> Intake::unseen(const std::vector<std::string>& keys) const {
  return state_.read([&](store::Reader& db) -> Result<std::vector<bool>> {
    std::vector<bool> out;
    out.reserve(keys.size());
    for (const auto& key : keys) {
      BAVN_TRY(const bool marked, is_marked(db, origin_.source, short_key(key)));
      out.push_back(!marked);
    }
    return out;
  });
}

Result<void> Intake::mark(store::Tx& tx, const std::string& source, const std::string& key) {
  return mark_key(tx, source, short_key(key));
}

Result<void> Intake::forget(store::Tx& tx, Instant before) const {
  BAVN_CHECK(tx.exec("DELETE FROM m365_seen WHERE source = :s AND at_us < :t", {{"s", origin_.source}, {"t", before}}));
  BAVN_TRY(const auto n, tx.number("SELECT COUNT(*) FROM m365_seen WHERE source = :s", {{"s", origin_.source}}));
  if (n > kMostKeys) {
    log::warn("microsoft365_seen_full", {{"source", origin_.source}, {"keys", n}, {"kept", kMostKeys}});
    BAVN_CHECK(
        tx.exec("DELETE FROM m365_seen WHERE source = :s AND key IN (SELECT key FROM m365_seen WHERE source = :s ORDER "
                "BY at_us LIMIT :n)",
                {{"s", origin_.source}, {"n", n - kMostKeys}}));
  }
  return {};
}

void Intake::take(std::vector<Record> records, Also also, std::move_only_function<void(Result<Taken>)> then) {
  auto batch = std::make_shared<Batch>();
  batch->also = std::move(also);
  batch->then = std::move(then);
  std::vector<std::string> keys;
  keys.reserve(records.size());
  for (const auto& record : records) keys.push_back(record.key);
  const auto fresh = unseen(keys);
  if (!fresh) {
    batch->then(std::unexpected(fresh.error()));
    return;
  }
  std::vector<std::string> here;  // the same record twice in one page
  for (std::size_t i = 0; i < records.size(); ++i) {
    if ((*fresh)[i]) here.push_back(short_key(keys[i]));
  }
  std::sort(here.begin(), here.end());
  std::vector<bool> used(here.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    std::string key = short_key(keys[i]);
    const auto found = std::lower_bound(here.begin(), here.end(), key);
    const auto n = static_cast<std::size_t>(found - here.begin());
    if (!(*fresh)[i] || used[n]) {
      ++batch->total.seen;
      continue;
    }
    used[n] = true;
    batch->total.newest = std::max(batch->total.newest, records[i].at);
    batch->keys.push_back(std::move(key));
    batch->records.push_back(std::move(records[i]));
  }
  next(batch);
}

void Intake::next(const std::shared_ptr<Batch>& batch) {
  batch->at = batch->end;
  if (batch->at == batch->records.size()) {
    if (!batch->also || batch->at > 0) {  // done, or nothing to do
      batch->then(batch->total);
      return;
    }
    state_.write([also = std::exchange(batch->also, {})](store::Tx& tx) { return also(tx); },
                 on_queue([batch](Intake&, Result<void> done) {
                   if (done) batch->then(batch->total);
                   else batch->then(std::unexpected(done.error()));
                 }));
    return;
  }
  batch->lines.clear();
  batch->keys_blob.clear();
  while (batch->end < batch->records.size() && batch->end - batch->at < kDeliveryRecords &&
         (batch->end == batch->at || batch->lines.size() + batch->records[batch->end].line.size() < kDeliveryBytes)) {
    batch->lines += batch->records[batch->end].line;
    batch->lines += '\n';
    batch->keys_blob += batch->keys[batch->end];
    ++batch->end;
  }
  batch->delivery = to_hex(sha256(batch->keys_blob)).substr(0, 40);
  state_.write(
      [source = origin_.source, delivery = batch->delivery, keys = store::Blob{batch->keys_blob},
       lines = store::Blob{batch->lines}](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec("INSERT INTO m365_pending (source, delivery, keys, lines) VALUES (:s, :d, :k, :l)",
                           {{"s", source}, {"d", delivery}, {"k", keys}, {"l", lines}}));
        return {};
      },
      on_queue([batch](Intake& self, Result<void> done) {
        if (done) self.offer(batch, 0);
        else batch->then(std::unexpected(done.error()));
      }));
}

void Intake::offer(const std::shared_ptr<Batch>& batch, unsigned tries) {
  Delivery delivery{.source = origin_.source,
                    .municipality = origin_.municipality,
                    .tenant = origin_.tenant,
                    .format = format_,
                    .context = {},
                    .id = batch->delivery,
                    .bytes = batch->lines};
  sink_.deliver(std::move(delivery), on_queue([batch, tries](Intake& self, Result<Receipt> receipt) {
                  if (receipt) {
                    self.taken(batch, receipt->refused);
                  } else if (receipt.error().code == Code::unavailable) {
                    if (tries == 0)
                      log::warn("microsoft365_sink_full",
                                {{"source", self.origin_.source}, {"reason", receipt.error().what}});
                    const auto wait = std::min<Duration>(60s, Duration(1s) * (1U << std::min(tries, 6U)));
                    self.runtime_.after(wait, self.queue_, [weak = self.weak_from_this(), batch, tries] {
                      if (const auto again = weak.lock(); again && !again->stopped_) again->offer(batch, tries + 1);
                    });
                  } else {  // never will be: said, counted, and not offered for ever
                    log::warn("microsoft365_delivery_refused",
                              {{"source", self.origin_.source}, {"reason", receipt.error().what}});
                    self.taken(batch, static_cast<std::uint64_t>(batch->end - batch->at));
                  }
                }));
}

void Intake::taken(const std::shared_ptr<Batch>& batch, std::uint64_t refused) {
  const bool last = batch->end == batch->records.size();
  state_.write(
      [source = origin_.source, keys = batch->keys_blob,
       also = last ? std::move(batch->also) : Also{}](store::Tx& tx) -> Result<void> {
        for (std::size_t i = 0; i < keys.size(); i += kKeyBytes)
          BAVN_CHECK(mark_key(tx, source, keys.substr(i, kKeyBytes)));
        BAVN_CHECK(tx.exec("DELETE FROM m365_pending WHERE source = :s", {{"s", source}}));
        if (also) return also(tx);
        return {};
      },
      on_queue([batch, refused](Intake& self, Result<void> done) {
        if (!done) {
          batch->then(std::unexpected(done.error()));
          return;
        }
        batch->total.fresh += batch->end - batch->at;
        batch->total.refused += refused;
        self.next(batch);
      }));
}

void Intake::take_left_over(std::move_only_function<void(Result<void>)> then) {
  auto row = state_.read([&](store::Reader& db) {
    return db.one<PendingRow>("SELECT delivery, keys, lines FROM m365_pending WHERE source = :s",
                              {{"s", origin_.source}});
  });
  if (!row || !*row) {
    then(row ? Result<void>{} : Result<void>(std::unexpected(row.error())));
    return;
  }
  auto batch = std::make_shared<Batch>();
  batch->delivery = std::move((*row)->delivery);
  batch->keys_blob = std::move((*row)->keys.bytes);
  batch->lines = std::move((*row)->lines.bytes);
  batch->then = [then = std::move(then)](Result<Taken> taken) mutable {
    then(taken ? Result<void>{} : Result<void>(std::unexpected(taken.error())));
  };
  offer(batch, 0);
}

}  // namespace bavn::input::microsoft365
