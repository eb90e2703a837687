#include "input/sources/stdin/stdin.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>

#include "input/sources/files/content.hpp"
#include "input/sources/files/records.hpp"

namespace bavn::input::sources::stdin_stream {

namespace {

using files::Shape;

class DescriptorBytes final : public formats::Bytes {
 public:
  explicit DescriptorBytes(int fd) : fd_(fd) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    for (;;) {
      const ssize_t got = ::read(fd_, p, n);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return fail(Code::unavailable, std::string("cannot read on: ") + std::strerror(errno));
    }
  }

 private:
  int fd_;
};

}  // namespace

class StreamSource::Core : public std::enable_shared_from_this<StreamSource::Core> {
 public:
  Core(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book, std::unique_ptr<formats::Bytes> in,
       StreamOptions options, std::move_only_function<void(Result<StreamTotals>)> done)
      : runtime_(runtime),
        queue_(queue),
        sink_(sink),
        book_(book),
        raw_in_(std::move(in)),
        options_(std::move(options)),
        done_(std::move(done)) {}

  void begin() {
    later(Duration{0}, [](Core& c) { c.go_on(); });
  }
  void end() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }

 private:
  void later(Duration delay, std::move_only_function<void(Core&)> f) {
    runtime_.after(delay, queue_, [weak = weak_from_this(), f = std::move(f)]() mutable {
      const auto core = weak.lock();
      if (!core) return;
      const std::lock_guard lock(core->mutex_);
      if (!core->stopped_) f(*core);
    });
  }

  void go_on() {
    while (!ended_ && waiting_.empty() && in_flight_ < options_.in_flight) read_some();
    if (!ended_ || in_flight_ != 0 || !waiting_.empty() || !done_) return;
    say(SourceState::off, trouble_ ? trouble_->what : "the stream has ended");
    auto done = std::exchange(done_, nullptr);
    if (trouble_) done(std::unexpected(*trouble_));
    else done(totals_);
  }

  void read_some() {
    if (!in_) {
      auto unpacked = formats::unpacked(std::move(raw_in_), options_.name);
      if (!unpacked) return over(unpacked.error());
      in_ = *std::move(unpacked);
    }
    const std::size_t have = held_.size();
    held_.resize(have + options_.chunk);
    std::size_t got = 0;
    do {
      const auto n = in_->read(held_.data() + have + got, options_.chunk - got);
      if (!n) trouble_ = n.error();
      if (!n || *n == 0) {
        ended_ = true;
        break;
      }
      got += *n;
    } while (!options_.id.empty() && got < options_.chunk);
    held_.resize(have + got);
    totals_.bytes += got;
    if (!shape_) {
      if (!ended_ && held_.find('\n') == std::string::npos && held_.size() < 4096) return;
      if (held_.starts_with("\xEF\xBB\xBF")) held_.erase(0, 3);
      shape_ = files::shape_of(held_);
    }
    take();
  }

  void over(const Error& e) {
    trouble_ = e;
    ended_ = true;
  }

  void take() {
    for (;;) {
      if (skipping_) {
        const std::size_t nl = held_.find('\n');
        held_.erase(0, nl == std::string::npos ? nl : nl + 1);
        if (nl == std::string::npos) return;
        skipping_ = false;
      }
      files::Cut cut = files::whole_records(*shape_, held_);
      if (ended_) cut = {cut.from, held_.size(), held_.size()};
      if (cut.consumed == 0) {
        if (held_.size() <= options_.max_record) return;
        refuse("record_too_long", fmt::format("record {}: more than {} bytes", totals_.accepted + totals_.refused + 1,
                                              options_.max_record));
        skipping_ = *shape_ == Shape::lines;
        if (!skipping_) held_.clear();
        continue;
      }
      std::string_view records = std::string_view(held_).substr(cut.from, cut.to - cut.from);
      std::string bytes, context;
      if (*shape_ == Shape::lines) {
        if (const auto header = files::header_block(records); !header.empty())
          context_ = header.ends_with('\n') ? header.substr(0, header.size() - 1) : header;
        if (const std::size_t next = files::next_header(records); next != std::string_view::npos) {
          records = records.substr(0, next);
          cut.consumed = cut.from + next;
        }
        context = context_;
        if (!files::without_zeros(records, bytes)) bytes = records;
      } else {
        bytes = files::one_a_line(
            records, options_.parsers, options_.max_record,
            [&](const std::string& reason, std::string_view detail) { refuse(reason, std::string(detail)); });
      }
      if (!bytes.empty()) deliver(std::move(bytes), std::move(context));
      held_.erase(0, cut.consumed);
      if (held_.empty() || (!ended_ && cut.consumed == cut.to)) return;
    }
  }

  void refuse(const std::string& reason, std::string first) {
    ++totals_.refused;
    if (totals_.first_refused.empty()) totals_.first_refused = reason + ": " + first;
    book_.refused(options_.name, reason, 1, std::move(first));
  }

  void deliver(std::string bytes, std::string context) {
    Delivery d;
    d.source = options_.name;
    d.municipality = options_.municipality;
    d.tenant = options_.tenant;
    d.format = options_.format;
    d.context = std::move(context);
    if (!options_.id.empty()) d.id = fmt::format("{}/{}", options_.id, ++number_);
    d.bytes = std::move(bytes);
    in_flight_ += d.bytes.size();
    offer(std::move(d));
  }

  void offer(Delivery d) {
    Delivery again = d;
    sink_.deliver(std::move(d), [weak = weak_from_this(), again = std::move(again)](Result<Receipt> receipt) mutable {
      if (const auto core = weak.lock())
        core->later(Duration{0}, [again = std::move(again), receipt = std::move(receipt)](Core& c) mutable {
          c.answered(std::move(again), receipt);
        });
    });
  }

  void answered(Delivery d, const Result<Receipt>& receipt) {
    if (!receipt && receipt.error().code == Code::unavailable) {
      say(SourceState::waiting, receipt.error().what);
      waiting_.push_back(std::move(d));
      backoff_ = std::clamp<Duration>(backoff_ * 2, std::chrono::milliseconds(250), std::chrono::seconds(30));
      if (waiting_.size() == 1)
        later(backoff_, [](Core& c) {
          for (Delivery& w : std::exchange(c.waiting_, {})) c.offer(std::move(w));
        });
      return;
    }
    backoff_ = Duration{0};
    in_flight_ -= d.bytes.size();
    if (receipt) {
      totals_.accepted += receipt->accepted;
      totals_.refused += receipt->refused;
      if (receipt->duplicate) totals_.duplicates += receipt->accepted;
      if (totals_.first_refused.empty() && !receipt->reasons.empty())
        totals_.first_refused = receipt->reasons.begin()->first + ": " + receipt->reasons.begin()->second.first;
      say(SourceState::working, {});
    } else {
      const auto lines = static_cast<std::uint64_t>(std::count(d.bytes.begin(), d.bytes.end(), '\n'));
      totals_.refused += std::max<std::uint64_t>(lines, 1) - 1;
      refuse("delivery_refused", receipt.error().what);
    }
    go_on();
  }

  void say(SourceState state, std::string text) {
    SourceReport r;
    r.source = options_.name;
    r.state = state;
    r.text = std::move(text);
    r.at = runtime_.now();
    if (state == SourceState::working) r.last_success = r.at;
    r.cursor = fmt::format("{} bytes, {} records", totals_.bytes, totals_.accepted);
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  const QueueId queue_;
  Sink& sink_;
  SourceBook& book_;
  std::unique_ptr<formats::Bytes> raw_in_, in_;
  const StreamOptions options_;
  std::move_only_function<void(Result<StreamTotals>)> done_;
  std::mutex mutex_;
  bool stopped_ = false, ended_ = false, skipping_ = false;
  std::optional<Shape> shape_;
  std::optional<Error> trouble_;
  std::string held_, context_;
  std::vector<Delivery> waiting_;  // for another try
  std::size_t in_flight_ = 0;      // bytes, those in waiting_ too
  std::uint64_t number_ = 0;
  Duration backoff_{0};
  StreamTotals totals_;
};

std::unique_ptr<StreamSource> StreamSource::start(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book,
                                                  std::unique_ptr<formats::Bytes> in, StreamOptions options,
                                                  std::move_only_function<void(Result<StreamTotals>)> done) {
  auto core = std::make_shared<Core>(runtime, queue, sink, book, std::move(in), std::move(options), std::move(done));
  core->begin();
  return std::unique_ptr<StreamSource>(new StreamSource(std::move(core)));
}

StreamSource::StreamSource(std::shared_ptr<Core> core) : core_(std::move(core)) {}
StreamSource::~StreamSource() {
  core_->end();
}

std::unique_ptr<formats::Bytes> bytes_of(int descriptor) {
  return std::make_unique<DescriptorBytes>(descriptor);
}

}  // namespace bavn::input::sources::stdin_stream
