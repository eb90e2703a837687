#include "input/sources/microsoft365/puller.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;

/// How long until the next try, by what went wrong and how often in a row.
Duration pause_after(TroubleKind kind, unsigned failures) {
  const unsigned n = std::min(failures, 6U);
  switch (kind) {
    case TroubleKind::licence: return 24h;
    case TroubleKind::permission:
    case TroubleKind::not_ready:
    case TroubleKind::token: return std::min<Duration>(1h, 1min * (1U << n));
    default: return std::min<Duration>(15min, 15s * (1U << n));
  }
}

SourceState state_of(TroubleKind kind) {
  switch (kind) {
    case TroubleKind::licence: return SourceState::off;
    case TroubleKind::not_ready:
    case TroubleKind::throttled: return SourceState::waiting;
    default: return SourceState::failing;
  }
}

struct CursorRow {
  std::int64_t high_us, low_us, oldest_us, swept_us;
};
BOOST_DESCRIBE_STRUCT(CursorRow, (), (high_us, low_us, oldest_us, swept_us))

Trouble trouble_of_store(const Error& e) {
  return {.kind = TroubleKind::server,
          .what = "the node's own store: " + to_string(e),
          .fix = "Is the disk full?",
          .code = {}};
}

}  // namespace

Puller::Puller(Parts parts, const Api& api, Origin origin)
    : parts_(std::move(parts)),
      api_(api),
      intake_(std::make_shared<Intake>(parts_.access->runtime(), parts_.access->queue(), parts_.sink, parts_.state,
                                       std::move(origin), std::string(api.format))) {}

void Puller::later(Duration delay, std::move_only_function<void()> f) {
  runtime().after(delay, parts_.access->queue(), std::move(f));
}

void Puller::start() {
  if (stopped_) return;
  report(SourceState::starting, {});
  plan(Duration(static_cast<std::int64_t>(runtime().random_below(3'000'000))));  // not all sources in one moment
}

void Puller::stop() {
  stopped_ = true;
  intake_->stop();
  if (timer_) runtime().cancel(*timer_);
}

void Puller::poke() {
  if (busy_ || stopped_) return;
  if (timer_) runtime().cancel(*timer_);
  plan(Duration{0});
}

void Puller::plan(Duration delay) {
  timer_ = runtime().after(delay, parts_.access->queue(), guarded<Puller>([](Puller& self) { self.round(); }));
}

void Puller::round() {
  if (busy_) return;
  busy_ = true;
  soon_ = false;
  if (!loaded_) {
    if (const auto loaded = load(); !loaded) {
      round_done(trouble_of_store(loaded.error()));
      return;
    }
    loaded_ = true;
  }
  intake_->take_left_over(guarded<Puller>([](Puller& self, Result<void> done) {
    if (!done) self.round_done(trouble_of_store(done.error()));
    else
      self.poll(
          self.guarded<Puller>([](Puller& me, std::optional<Trouble> trouble) { me.round_done(std::move(trouble)); }));
  }));
}

void Puller::round_done(std::optional<Trouble> trouble) {
  busy_ = false;
  if (!trouble) {
    failures_ = 0;
    last_.last_success = runtime().now();
    report(SourceState::working, std::exchange(notes_, {}));
    const auto every = std::chrono::duration_cast<Duration>(api_.every);
    plan(soon_ ? Duration(200ms)
               : every - every / 10 +
                     Duration(static_cast<std::int64_t>(
                         runtime().random_below(static_cast<std::uint64_t>((every / 5).count())))));
    return;
  }
  if (trouble->kind == TroubleKind::stopped) return;
  const auto wait = pause_after(trouble->kind, failures_++);
  log::warn("microsoft365_trouble", {{"source", intake_->origin().source},
                                     {"kind", to_string(trouble->kind)},
                                     {"what", trouble->what},
                                     {"status", trouble->status}});
  report(state_of(trouble->kind), to_string(*trouble));
  plan(wait / 2 +
       Duration(static_cast<std::int64_t>(runtime().random_below(static_cast<std::uint64_t>(wait.count()) / 2 + 1))));
}

void Puller::measured(Instant newest) {
  late_.saw(newest, runtime().now());
  last_.lag_seconds = late_.seconds();
}

void Puller::report(SourceState state, std::string text) {
  last_.source = intake_->origin().source;
  last_.state = state;
  last_.text = std::move(text);
  last_.at = runtime().now();
  last_.cursor = cursor_text_;
  parts_.book.say(last_);
}

// --- windows ---

Result<void> WindowPuller::load() {
  const auto row = parts_.state.read([&](store::Reader& db) {
    return db.one<CursorRow>("SELECT high_us, low_us, oldest_us, swept_us FROM m365_cursor WHERE source = :s",
                             {{"s", intake_->origin().source}});
  });
  if (!row) return std::unexpected(row.error());
  if (*row) {
    cursor_ = {.high_us = (*row)->high_us,
               .low_us = (*row)->low_us,
               .oldest_us = (*row)->oldest_us,
               .swept_us = (*row)->swept_us};
  } else {  // what is new first, the past after it
    const auto now = runtime().now();
    cursor_ = {.high_us = micros(now - api_.overlap),
               .low_us = micros(now - api_.overlap),
               .oldest_us = micros(now - api_.look_back),
               .swept_us = micros(now)};
  }
  widest_ = api_.window;
  return {};
}

void WindowPuller::poll(Then then) {
  prepare(guarded<WindowPuller>([then = std::move(then)](WindowPuller& self, std::optional<Trouble> trouble) mutable {
    if (trouble) {
      then(std::move(trouble));
      return;
    }
    const auto now = self.runtime().now();
    const auto reach = now - self.api_.reach + 5min;  // a little inside of what the service keeps
    auto& cursor = self.cursor_;
    if (from_micros(cursor.high_us) < reach) {
      log::error("microsoft365_gap", {{"source", self.intake_->origin().source},
                                      {"from", format_time(from_micros(cursor.high_us))},
                                      {"to", format_time(reach)}});
      self.note(fmt::format("from {} to {} is lost: the node was away longer than the service keeps its records",
                            format_time(from_micros(cursor.high_us)), format_time(reach)));
      cursor.high_us = micros(reach);
    }
    cursor.oldest_us = std::max(cursor.oldest_us, micros(reach));
    const auto live_from = std::max(from_micros(std::min(cursor.high_us, micros(now))) - self.api_.overlap, reach);
    self.job_ = Job::live;
    const auto live_to = std::min<Instant>(now, live_from + std::max<Duration>(self.widest_, self.api_.overlap + 1min));
    self.read(live_from, live_to, std::move(then));
  }));
}

void WindowPuller::read(Instant from, Instant to, Then then) {
  whole(from, to,
        guarded<WindowPuller>(
            [from, to, then = std::move(then)](WindowPuller& self, std::optional<Trouble> trouble) mutable {
              if (trouble) {
                then(std::move(trouble));
                return;
              }
              self.widest_ = std::min<Duration>(self.api_.window, self.widest_ * 2);
              self.window_done(from, to, std::move(then));
            }));
}

/// Too large an answer: the window in two halves, one after the other, and smaller windows from then on.
void WindowPuller::whole(Instant from, Instant to, Then then) {
  read_window(from, to,
              guarded<WindowPuller>(
                  [from, to, then = std::move(then)](WindowPuller& self, std::optional<Trouble> trouble) mutable {
                    const Duration asked = to - from;
                    if (!trouble || trouble->kind != TroubleKind::too_large || asked <= 1min) {
                      then(std::move(trouble));
                      return;
                    }
                    self.widest_ = std::max<Duration>(1min, asked / 4);  // doubled again when this is read
                    const Instant middle = from + asked / 2;
                    self.whole(from, middle,
                               self.guarded<WindowPuller>([middle, to, then = std::move(then)](
                                                              WindowPuller& me, std::optional<Trouble> first) mutable {
                                 if (first) then(std::move(first));
                                 else me.whole(middle, to, std::move(then));
                               }));
                  }));
}

void WindowPuller::window_done(Instant from, Instant to, Then then) {
  const auto now = runtime().now();
  switch (job_) {
    case Job::live:
      cursor_.high_us = std::max(cursor_.high_us, micros(to));
      soon_ = to + 1min < now;
      break;
    case Job::past: cursor_.low_us = std::min(cursor_.low_us, micros(from)); break;
    case Job::sweep:
      sweep_from_ = to;
      if (to + api_.overlap >= now) {
        cursor_.swept_us = micros(now);
        sweep_from_ = {};
      }
      break;
  }
  cursor_text_ = fmt::format(
      "read until {}{}", format_time(from_micros(cursor_.high_us)),
      cursor_.low_us > cursor_.oldest_us ? "; the past back to " + format_time(from_micros(cursor_.low_us)) : "");
  parts_.state.write(
      [source = intake_->origin().source, c = cursor_, intake = intake_,
       depth = api_.sweep_depth](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec(
            "INSERT INTO m365_cursor (source, high_us, low_us, oldest_us, swept_us) VALUES (:s, :h, :l, :o, :w) "
            "ON CONFLICT (source) DO UPDATE SET high_us = :h, low_us = :l, oldest_us = :o, swept_us = :w",
            {{"s", source}, {"h", c.high_us}, {"l", c.low_us}, {"o", c.oldest_us}, {"w", c.swept_us}}));
        return intake->forget(tx, tx.now() - depth - 24h);
      },
      [weak = weak_from_this(), &runtime = runtime(), queue = parts_.access->queue(),
       then = std::move(then)](Result<void> done) mutable {
        runtime.after(Duration{0}, queue, [weak, then = std::move(then), done = std::move(done)]() mutable {
          const auto self = std::static_pointer_cast<WindowPuller>(weak.lock());
          if (!self) return;
          if (!done) {
            then(trouble_of_store(done.error()));
            return;
          }
          // After what is new: a piece of the past, or a sweep that is due.
          auto& c = self->cursor_;
          const auto at = self->runtime().now();
          const bool was_live = self->job_ == Job::live;
          if (was_live && !self->soon_ && c.low_us > c.oldest_us) {
            self->job_ = Job::past;
            const auto upto = from_micros(c.low_us);
            self->read(std::max(from_micros(c.oldest_us), upto - self->widest_), upto, std::move(then));
          } else if (was_live && !self->soon_ && at - from_micros(c.swept_us) >= self->api_.sweep_every) {
            self->job_ = Job::sweep;
            const auto begin = self->sweep_from_ == Instant{} ? at - self->api_.sweep_depth : self->sweep_from_;
            self->read(begin, std::min<Instant>(at, begin + self->widest_), std::move(then));
          } else {
            self->soon_ |= c.low_us > c.oldest_us || self->sweep_from_ != Instant{};
            then(std::nullopt);
          }
        });
      });
}

// --- lists of Graph ---

void ListPuller::read_window(Instant from, Instant to, Then then) {
  auto listing = std::make_shared<Listing>();
  listing->from = from;
  listing->to = to;
  listing->then = std::move(then);
  // Whole seconds: some of these lists refuse fractions.
  const auto whole = [](Instant t) { return format_time(std::chrono::floor<std::chrono::seconds>(t)); };
  std::string filter = fmt::format("{0} ge {1} and {0} le {2}", api_.time_field, whole(from), whole(to));
  if (!api_.filter.empty()) filter = fmt::format("({}) and {}", filter, api_.filter);
  std::string url = parts_.access->url(Service::graph, api_.path) + "?$filter=" + percent_encoded(filter);
  if (api_.top > 0) url += fmt::format("&$top={}", api_.top);
  page(std::move(listing), std::move(url));
}

void ListPuller::end(std::shared_ptr<Listing> listing, std::optional<Trouble> trouble) {
  if (!trouble && listing->count && *listing->count != listing->records + listing->no_objects) {
    // Is the count wrong or the list? Asked again; the third time the records are believed, and it is said.
    std::string said = fmt::format("the service counts {} records and gives {}", *listing->count, listing->records);
    if (++wrong_counts_ < 3)
      trouble = Trouble{.kind = TroubleKind::bad_answer, .what = std::move(said), .fix = {}, .code = {}};
    else note(said + "; the records given were taken");
  } else if (!trouble) {
    wrong_counts_ = 0;
  }
  if (!trouble && listing->no_objects > 0)
    note(fmt::format("{} entries were no records and were left out", listing->no_objects));
  listing->then(std::move(trouble));
}

void ListPuller::page(std::shared_ptr<Listing> listing, std::string url) {
  constexpr std::uint64_t kMostPages = 2000;
  if (!same_origin(parts_.access->base(Service::graph), url)) {
    end(std::move(listing), Trouble{.kind = TroubleKind::bad_link,
                                    .what = "the next page is said to be somewhere else: " + url.substr(0, 200),
                                    .fix = "It was not followed. Is a proxy in between?",
                                    .code = {}});
    return;
  }
  if (!listing->links.insert(url).second) {
    end(std::move(listing), Trouble{.kind = TroubleKind::bad_link,
                                    .what = "the next page is one that was there before",
                                    .fix = "The window is asked for again",
                                    .code = {}});
    return;
  }
  if (++listing->pages > kMostPages) {
    end(std::move(listing), Trouble{.kind = TroubleKind::too_large, .what = "too many pages", .fix = {}, .code = {}});
    return;
  }
  const PageShape shape{.time = api_.record_time, .key = api_.record_key};
  auto read = std::make_shared<std::optional<Page>>();
  Call call{
      .budget = api_.budget, .url = std::move(url), .body = {}, .permission = {}, .licence = std::string(api_.licence)};
  for (const auto p : api_.permissions) call.permission += (call.permission.empty() ? "" : " or ") + std::string(p);
  call.unusable = [read, shape](const net::ClientReply& reply) -> std::optional<std::string> {
    auto page = read_page(reply.body, shape);
    if (!page) return page.error().what;
    *read = std::move(*page);
    return std::nullopt;
  };
  parts_.access->send(std::move(call), guarded<ListPuller>([listing, read](ListPuller& self, Answer answer) mutable {
                        if (!answer) {
                          self.end(std::move(listing), std::move(answer.error()));
                          return;
                        }
                        Page& page = **read;
                        if (listing->pages == 1) listing->count = page.count;
                        listing->records += page.records.size();
                        listing->no_objects += page.no_objects;
                        self.intake_->take(std::move(page.records), {},
                                           self.guarded<ListPuller>([listing, next = std::move(page.next)](
                                                                        ListPuller& me, Result<Taken> taken) mutable {
                                             if (!taken) {
                                               me.end(std::move(listing), trouble_of_store(taken.error()));
                                               return;
                                             }
                                             if (me.live()) me.measured(taken->newest);
                                             if (next.empty()) me.end(std::move(listing), std::nullopt);
                                             else me.page(std::move(listing), std::move(next));
                                           }));
                      }));
}

// --- advanced hunting ---

namespace {
struct Table {
  std::string_view name, adds;
  std::vector<std::string_view> key;
};
const std::vector<Table>& tables() {
  static const std::vector<Table> all = {
      {"EmailEvents", "\"Type\":\"EmailEvents\",", {"ReportId", "NetworkMessageId", "RecipientEmailAddress"}},
      {"EmailUrlInfo", "\"Type\":\"EmailUrlInfo\",", {"ReportId", "NetworkMessageId", "Url"}},
      {"UrlClickEvents",
       "\"Type\":\"UrlClickEvents\",",
       {"ReportId", "NetworkMessageId", "AccountUpn", "Url", "Timestamp"}},
  };
  return all;
}
constexpr std::size_t kRows = 10'000;  // the service gives up to 100,000; ten times fewer keeps a page small
}  // namespace

void HuntingPuller::read_window(Instant from, Instant to, Then then) {
  table(0, from, to, std::move(then));
}

void HuntingPuller::table(std::size_t n, Instant from, Instant to, Then then) {
  if (n == tables().size()) {
    then(std::nullopt);
    return;
  }
  const auto& t = tables()[n];
  const std::string query = fmt::format("{} | where Timestamp between (datetime({}) .. datetime({})) | take {}", t.name,
                                        format_time(from), format_time(to), kRows);
  auto read = std::make_shared<std::optional<Page>>();
  Call call{.budget = api_.budget,
            .method = net::Method::post,
            .url = parts_.access->url(Service::graph, api_.path),
            .body = "{\"Query\":\"" + query + "\"}",
            .permission = std::string(api_.permissions.front()),
            .licence = std::string(api_.licence)};
  call.unusable = [read, shape = PageShape{.list = "results", .time = "Timestamp", .key = t.key, .adds = t.adds}](
                      const net::ClientReply& reply) -> std::optional<std::string> {
    auto page = read_page(reply.body, shape);
    if (!page) return page.error().what;
    *read = std::move(*page);
    return std::nullopt;
  };
  parts_.access->send(
      std::move(call),
      guarded<HuntingPuller>([n, from, to, read, then = std::move(then)](HuntingPuller& self, Answer answer) mutable {
        if (!answer) {
          then(std::move(answer.error()));
          return;
        }
        const bool full = (*read)->records.size() >= kRows;
        self.intake_->take(
            std::move((*read)->records), {},
            self.guarded<HuntingPuller>([n, from, to, full, then = std::move(then)](HuntingPuller& me,
                                                                                    Result<Taken> taken) mutable {
              if (!taken) {
                then(trouble_of_store(taken.error()));
              } else if (full) {
                then(Trouble{
                    .kind = TroubleKind::too_large, .what = "more rows than one query gives", .fix = {}, .code = {}});
              } else {
                if (me.live()) me.measured(taken->newest);
                me.table(n + 1, from, to, std::move(then));
              }
            }));
      }));
}

std::shared_ptr<Puller> make_puller(Parts parts, const Api& api, Origin origin) {
  switch (api.shape) {
    case Shape::list: return std::make_shared<ListPuller>(std::move(parts), api, std::move(origin));
    case Shape::management: return std::make_shared<ManagementPuller>(std::move(parts), api, std::move(origin));
    case Shape::hunting: return std::make_shared<HuntingPuller>(std::move(parts), api, std::move(origin));
    case Shape::settings: return std::make_shared<SettingsPuller>(std::move(parts), api, std::move(origin));
  }
  return nullptr;
}

}  // namespace bavn::input::microsoft365
