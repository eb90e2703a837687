#include "input/sources/kafka/kafka.hpp"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "input/lateness.hpp"

namespace bavn::input::sources::kafka {

namespace {

using namespace std::chrono_literals;
constexpr int kPollMs = 100;
constexpr Duration kTryAgain = 1s;
constexpr std::size_t kMostMessage = 4U << 20U;  // as any record

template <class T, void (*F)(T*)>
struct Freed {
  void operator()(T* p) const { F(p); }
};
using Client = std::unique_ptr<rd_kafka_t, Freed<rd_kafka_t, rd_kafka_destroy>>;
using Conf = std::unique_ptr<rd_kafka_conf_t, Freed<rd_kafka_conf_t, rd_kafka_conf_destroy>>;
using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                   Freed<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>>;
using Message = std::unique_ptr<rd_kafka_message_t, Freed<rd_kafka_message_t, rd_kafka_message_destroy>>;

/// Messages of one partition, in order.
struct Batch {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t first = 0, last = 0;
  std::string lines;
  std::int64_t newest_ms = -1;
};

}  // namespace

std::string line_of(std::string_view message) {
  while (!message.empty() && (message.back() == '\n' || message.back() == '\r')) message.remove_suffix(1);
  std::string out;
  if (message.find_first_of("\r\n") == std::string_view::npos) return std::string(message);
  const std::string_view start = trim(message);
  const bool json = !start.empty() && (start[0] == '{' || start[0] == '[');
  for (const char c : message) {
    if (c == '\r' && !json) continue;
    if (c != '\n' && c != '\r') out += c;
    else out += json ? " " : "#012";
  }
  return out;
}

class KafkaSource::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Runtime& runtime, Sink& sink, SourceBook& book, KafkaOptions options)
      : runtime_(runtime),
        sink_(sink),
        book_(book),
        o_(std::move(options)),
        queue_(runtime.queue({.name = "kafka " + o_.name, .threads = 1, .limit = 100})) {}

  Result<void> open() {
    Conf conf(rd_kafka_conf_new());
    std::string trouble(512, '\0');
    std::string wrong;
    const auto set = [&](const char* name, const std::string& value) {
      if (rd_kafka_conf_set(conf.get(), name, value.c_str(), trouble.data(), trouble.size()) != RD_KAFKA_CONF_OK &&
          wrong.empty())
        wrong = trouble.c_str();
    };
    set("bootstrap.servers", o_.brokers);
    set("group.id", o_.group);
    set("client.id", "bavn");
    set("enable.auto.commit", "false");
    set("enable.auto.offset.store", "false");
    set("auto.offset.reset", o_.from_end ? "latest" : "earliest");
    set("session.timeout.ms", std::to_string(std::chrono::milliseconds(o_.session).count()));
    set("max.poll.interval.ms", std::to_string(std::chrono::milliseconds(o_.unasked).count()));
    set("queued.max.messages.kbytes", "8192");
    set("fetch.message.max.bytes", std::to_string(kMostMessage));
    set("security.protocol",
        o_.user.empty() ? (o_.tls ? "ssl" : "plaintext") : (o_.tls ? "sasl_ssl" : "sasl_plaintext"));
    if (!o_.ca_file.empty()) set("ssl.ca.location", o_.ca_file);
    if (!o_.user.empty()) {
      set("sasl.mechanisms", o_.mechanism);
      set("sasl.username", o_.user);
      set("sasl.password", o_.password);
    }
    if (!wrong.empty()) return fail(Code::bad_input, wrong, o_.name);
    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int error, const char* reason, void* self) {
      static_cast<Core*>(self)->trouble(static_cast<rd_kafka_resp_err_t>(error), reason);
    });
    rd_kafka_conf_set_log_cb(conf.get(),
                             [](const rd_kafka_t*, int, const char*, const char*) {});  // error_cb has what matters
    rd_kafka_conf_set_rebalance_cb(
        conf.get(), [](rd_kafka_t* k, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t* list, void* self) {
          static_cast<Core*>(self)->rebalance(k, e, list);
        });
    client_.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), trouble.data(), trouble.size()));
    if (!client_) return fail(Code::bad_input, trouble.c_str(), o_.name);
    (void)conf.release();  // the client's now
    rd_kafka_poll_set_consumer(client_.get());
    const Partitions topics(rd_kafka_topic_partition_list_new(static_cast<int>(o_.topics.size())));
    for (const std::string& t : o_.topics)
      rd_kafka_topic_partition_list_add(topics.get(), t.c_str(), RD_KAFKA_PARTITION_UA);
    if (const auto e = rd_kafka_subscribe(client_.get(), topics.get()); e != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(Code::bad_input, rd_kafka_err2str(e), o_.name);
    say(SourceState::starting, "asks the cluster for its partitions");
    return {};
  }

  void run() { next(Duration{0}); }

  void stop() {
    stopping_ = true;
    std::unique_lock lock(mutex_);
    // A round that waits for the sink is answered or given up with the process: what is not committed comes again.
    ended_.wait(lock, [&] { return !polling_; });
    if (!client_) return;
    early_.clear();                          // messages belong to the client
    rd_kafka_consumer_close(client_.get());  // leaves the group, after the commits that were sent
    client_.reset();
  }

 private:
  void next(Duration wait) {
    runtime_.after(wait, queue_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->turn();
    });
  }

  /// Something that polls; false when the source ends.
  template <class F>
  bool with_client(F poll) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || !client_) return false;
      polling_ = true;
    }
    poll();
    const std::lock_guard lock(mutex_);
    polling_ = false;
    ended_.notify_all();
    return !stopping_;
  }

  void turn() {
    if (!with_client([&] { take(); })) return;
    if (round_.empty()) return next(Duration{0});
    offer();
  }

  /// While the sink is full nothing is fetched, but the cluster is answered: a group that changes does not wait for this sink.
  void ask_again() {
    const bool goes_on = with_client([&] {
      hold(true);
      if (Message m(rd_kafka_consumer_poll(client_.get(), 0)); m) early_.push_back(std::move(m));
    });
    if (!goes_on) return;
    if (round_.empty()) return next(Duration{0});  // its partitions are another's now
    offer();
  }

  void hold(bool on) {
    if (held_ == on) return;
    rd_kafka_topic_partition_list_t* list = nullptr;
    if (rd_kafka_assignment(client_.get(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const Partitions mine(list);
    (on ? rd_kafka_pause_partitions : rd_kafka_resume_partitions)(client_.get(), list);
    held_ = on;
  }

  Message next_message(int wait_ms) {
    if (early_.empty()) return Message(rd_kafka_consumer_poll(client_.get(), wait_ms));
    Message m = std::move(early_.front());
    early_.pop_front();
    return m;
  }

  /// Messages until there are enough, or none come for a moment.
  void take() {
    std::size_t bytes = 0, messages = 0;
    hold(false);
    taken_.clear();
    while (bytes < o_.round_bytes && messages < o_.round_messages && !stopping_) {
      const Message m = next_message(messages == 0 ? kPollMs : 5);
      if (!m) break;
      if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        trouble(m->err, rd_kafka_message_errstr(m.get()));
        break;
      }
      const std::string topic = rd_kafka_topic_name(m->rkt);
      Batch& b = taken_[{topic, m->partition}];
      if (b.topic.empty()) {
        b.topic = topic;
        b.partition = m->partition;
        b.first = m->offset;
      }
      b.last = m->offset;
      ++messages;
      if (m->payload == nullptr || m->len == 0) {
        book_.refused(o_.name, "message_without_value", 1, fmt::format("{}[{}]@{}", topic, m->partition, m->offset));
        continue;
      }
      const std::string_view value(static_cast<const char*>(m->payload), m->len);
      bytes += value.size();
      b.lines += line_of(value);
      b.lines += '\n';
      rd_kafka_timestamp_type_t type{};
      b.newest_ms = std::max(b.newest_ms, rd_kafka_message_timestamp(m.get(), &type));
    }
    for (auto& [key, b] : taken_) round_.push_back(std::move(b));
  }

  /// The round's batches, one after the other; the same again until the sink has it.
  void offer() {
    while (stored_ < round_.size() && round_[stored_].lines.empty()) ++stored_;
    if (stopping_) return;
    if (stored_ == round_.size()) {
      commit();
      return next(Duration{0});
    }
    const Batch& b = round_[stored_];
    Delivery d;
    d.source = o_.name;
    d.municipality = o_.municipality;
    d.tenant = o_.tenant;
    d.format = o_.format;
    d.id = fmt::format("kafka:{}/{}/{}-{}", b.topic, b.partition, b.first, b.last);
    d.bytes = b.lines;
    d.line_is_record = true;
    sink_.deliver(std::move(d), [weak = weak_from_this()](Result<Receipt> receipt) {
      const auto self = weak.lock();
      if (!self) return;
      self->runtime_.after(Duration{0}, self->queue_, [weak, receipt = std::move(receipt)] {
        if (const auto inner = weak.lock()) inner->answered(receipt);
      });
    });
  }

  void answered(const Result<Receipt>& receipt) {
    if (stopping_) return;
    if (!receipt && receipt.error().code == Code::unavailable) {
      commit();
      say(SourceState::waiting, receipt.error().what);
      runtime_.after(kTryAgain, queue_, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->ask_again();
      });
      return;
    }
    const Batch& b = round_[stored_];
    if (!receipt) {  // never will be
      book_.refused(o_.name, "delivery_refused", static_cast<std::uint64_t>(b.last - b.first + 1),
                    receipt.error().what);
    } else {
      if (b.newest_ms >= 0) late_.saw(from_micros(b.newest_ms * 1000), runtime_.now());
      say(SourceState::working, "", fmt::format("{}[{}] offset {}", b.topic, b.partition, b.last), late_.seconds());
    }
    ++stored_;
    offer();
  }

  /// What the sink has of the round: it is ended with that.
  void commit() {
    const Partitions offsets(rd_kafka_topic_partition_list_new(static_cast<int>(stored_)));
    const auto has = std::span(round_).first(std::exchange(stored_, 0));
    for (const Batch& b : has)
      rd_kafka_topic_partition_list_add(offsets.get(), b.topic.c_str(), b.partition)->offset = b.last + 1;
    round_.erase(round_.begin(), round_.begin() + static_cast<std::ptrdiff_t>(has.size()));
    if (offsets->cnt == 0) return;
    const std::lock_guard lock(mutex_);
    if (!client_) return;
    if (const auto e = rd_kafka_commit(client_.get(), offsets.get(), 1 /* async */); e != RD_KAFKA_RESP_ERR_NO_ERROR)
      log::warn("kafka_commit_failed", {{"source", o_.name}, {"reason", rd_kafka_err2str(e)}});
  }

  /// Called inside a poll, or while the source ends. The commit of what is stored was sent before; what was read and is not stored is
  /// whoever's the partitions are next.
  void rebalance(rd_kafka_t* k, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t* list) {
    if (e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      rd_kafka_assign(k, list);
      if (held_) rd_kafka_pause_partitions(k, list);
      say(SourceState::working, "", fmt::format("{} partitions", list->cnt));
      return;
    }
    if (!stopping_) {
      round_.clear();
      taken_.clear();
      early_.clear();
    }
    rd_kafka_assign(k, nullptr);
  }

  void trouble(rd_kafka_resp_err_t error, const char* reason) {
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
    say(SourceState::failing, fmt::format("Kafka: {} ({})", reason, rd_kafka_err2str(error)));
  }

  void say(SourceState state, std::string text, std::string cursor = {}, std::int64_t lag = -1) {
    SourceReport r;
    r.source = o_.name;
    r.state = state;
    r.text = std::move(text);
    r.at = runtime_.now();
    if (state == SourceState::working) r.last_success = r.at;
    r.lag_seconds = lag;
    r.cursor = std::move(cursor);
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  Sink& sink_;
  SourceBook& book_;
  const KafkaOptions o_;
  const QueueId queue_;
  Lateness late_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  bool polling_ = false;
  Client client_;
  // The queue's own:
  std::map<std::pair<std::string, std::int32_t>, Batch> taken_;  // of the round that is being read
  std::vector<Batch> round_;
  std::size_t stored_ = 0;     // of the round's batches
  bool held_ = false;          // the sink is full: partitions are paused
  std::deque<Message> early_;  // came although they are
};

Result<std::unique_ptr<KafkaSource>> KafkaSource::start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                        KafkaOptions options) {
  auto core = std::make_shared<Core>(runtime, sink, book, std::move(options));
  BAVN_CHECK(core->open());
  core->run();
  return std::unique_ptr<KafkaSource>(new KafkaSource(std::move(core)));
}

KafkaSource::KafkaSource(std::shared_ptr<Core> core) : core_(std::move(core)) {}

KafkaSource::~KafkaSource() {
  core_->stop();
}

}  // namespace bavn::input::sources::kafka
