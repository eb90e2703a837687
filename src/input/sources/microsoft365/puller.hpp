#pragma once
// A source that asks again and again. Puller keeps the rhythm: polls, pauses that grow with trouble, reports for people.
// WindowPuller reads a log by windows of time with a durable cursor: what is new first, the past after it, and once in a
// while the last day again, because records come late. Records seen before are left out by Intake.
// Life: shared; stop() before anything given to it goes. Thread rules: everything on the Access's queue.
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "input/lateness.hpp"
#include "input/sources/microsoft365/apis.hpp"
#include "input/sources/microsoft365/intake.hpp"

namespace bavn::input::microsoft365 {

struct Parts {
  std::shared_ptr<Access> access;
  Sink& sink;
  SourceBook& book;
  store::State& state;
};

class Puller : public std::enable_shared_from_this<Puller> {
 public:
  Puller(Parts parts, const Api& api, Origin origin);
  virtual ~Puller() = default;

  void start();
  void stop();
  /// Polls at once, unless it is polling.
  void poke();
  const Api& api() const { return api_; }
  const SourceReport& last_report() const { return last_; }

 protected:
  using Then = std::move_only_function<void(std::optional<Trouble>)>;
  /// One round. May set `soon_` when there is more to do.
  virtual void poll(Then then) = 0;
  /// Called once before the first poll.
  virtual Result<void> load() { return {}; }

  /// f(*this as T) later, unless it is gone or stopped by then.
  template <class T, class F>
  auto guarded(F f) {
    return [weak = std::weak_ptr<Puller>(weak_from_this()), f = std::move(f)]<class... A>(A&&... a) mutable {
      if (const auto self = weak.lock(); self && !self->stopped_) f(static_cast<T&>(*self), std::forward<A>(a)...);
    };
  }
  void later(Duration delay, std::move_only_function<void()> f);
  void note(std::string text) { notes_ = std::move(text); }  // said with the next report although all works
  void measured(Instant newest);                             // of fresh records of a live poll
  Runtime& runtime() { return parts_.access->runtime(); }

  Parts parts_;
  const Api& api_;
  std::shared_ptr<Intake> intake_;
  std::string cursor_text_;
  bool soon_ = false;

 private:
  void round();
  void round_done(std::optional<Trouble> trouble);
  void plan(Duration delay);
  void report(SourceState state, std::string text);

  SourceReport last_;
  Lateness late_;
  std::string notes_;
  std::optional<TimerId> timer_;
  unsigned failures_ = 0;
  bool busy_ = false, stopped_ = false, loaded_ = false;
};

class WindowPuller : public Puller {
 public:
  using Puller::Puller;

 protected:
  void poll(Then then) override;
  Result<void> load() override;
  virtual void prepare(Then then) { then(std::nullopt); }
  /// Everything between from and to; both ends included or not, as the service likes: doubles are left out later.
  virtual void read_window(Instant from, Instant to, Then then) = 0;
  bool live() const { return job_ == Job::live; }

 private:
  enum class Job : std::uint8_t { live, past, sweep };
  struct Cursor {
    std::int64_t high_us = 0, low_us = 0, oldest_us = 0, swept_us = 0;
  };
  void read(Instant from, Instant to, Then then);
  void whole(Instant from, Instant to, Then then);
  void window_done(Instant from, Instant to, Then then);

  Cursor cursor_;
  Job job_ = Job::live;
  Duration widest_{0};    // of the next window; halved when an answer was too large
  Instant sweep_from_{};  // of a sweep under way
};

/// Lists of Graph: filter by time, "@odata.nextLink".
class ListPuller final : public WindowPuller {
 public:
  using WindowPuller::WindowPuller;

 private:
  struct Listing {
    Instant from, to;
    std::set<std::string> links;
    std::uint64_t pages = 0, records = 0, no_objects = 0;
    std::optional<std::uint64_t> count;
    Then then;
  };
  void read_window(Instant from, Instant to, Then then) override;
  void page(std::shared_ptr<Listing> listing, std::string url);
  void end(std::shared_ptr<Listing> listing, std::optional<Trouble> trouble);
  unsigned wrong_counts_ = 0;
};

/// Tables of advanced hunting, one query a table and window.
class HuntingPuller final : public WindowPuller {
 public:
  using WindowPuller::WindowPuller;

 private:
  void read_window(Instant from, Instant to, Then then) override;
  void table(std::size_t n, Instant from, Instant to, Then then);
};

/// The Management Activity API: subscriptions, lists of blobs, blobs.
class ManagementPuller final : public WindowPuller {
 public:
  using WindowPuller::WindowPuller;

 private:
  struct Listing;
  void prepare(Then then) override;
  void subscribe(std::size_t n, Then then);
  void read_window(Instant from, Instant to, Then then) override;
  void list(std::shared_ptr<Listing> listing, std::string url);
  void next_type(std::shared_ptr<Listing> listing);
  void next_blob(std::shared_ptr<Listing> listing);
  std::string feed(std::string_view path_and_query) const;
  bool subscribed_ = false;
  std::uint64_t blobs_ever_ = 0;
};

/// Applications, what they may do, and policies: a picture every hour, what changed leaves as records.
class SettingsPuller final : public Puller {
 public:
  using Puller::Puller;

 private:
  struct Picture;
  void poll(Then then) override;
  void part(std::shared_ptr<Picture> picture, std::size_t n, std::string url);
  void compare(std::shared_ptr<Picture> picture);
};

std::shared_ptr<Puller> make_puller(Parts parts, const Api& api, Origin origin);

}  // namespace bavn::input::microsoft365
