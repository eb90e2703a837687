#pragma once
// Topics of a Kafka cluster, by librdkafka. An offset is committed when the sink has said that its message is on disk: nothing is lost,
// whatever dies, and whichever consumer of the group gets the partition next. Messages that were stored, but not yet committed when this
// died, come again: they are stored once where they come in the same groups (the sink knows a group by topic, partition and offsets).
// While the sink is full partitions are paused, and the group is still answered; what the sink has not is left to whoever gets them.
// Each message is one record; a line end inside becomes a space in JSON, #012 in text; one without a value is counted as left out.
// Life: start() to destructor, which commits what is stored. Thread rules: a thread of its own in the Runtime's queue, which it fills.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"

namespace bavn::input::sources::kafka {

struct KafkaOptions {
  std::string name;  // of the source
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  std::string brokers, group;
  std::vector<std::string> topics;  // "^..." is a pattern
  bool from_end = false;            // a new group reads what comes from now on
  bool tls = false;
  std::string ca_file;         // empty: the system's
  std::string user, password;  // SASL; empty: none
  std::string mechanism = "SCRAM-SHA-512";
  // Without a heartbeat (librdkafka's own thread sends them), or without a poll, for so long: others get its partitions. The second is
  // also how long an answer of the group is waited for, which a cut connection may have swallowed.
  std::chrono::seconds session{45}, unasked{600};
  std::size_t round_bytes = 4U << 20U, round_messages = 2000;  // taken before the sink is asked
};

class KafkaSource {
 public:
  /// bad_input: librdkafka does not take the options. A cluster that does not answer is no error: it is said in the book.
  static Result<std::unique_ptr<KafkaSource>> start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                    KafkaOptions options);
  ~KafkaSource();
  KafkaSource(const KafkaSource&) = delete;
  KafkaSource& operator=(const KafkaSource&) = delete;

 private:
  class Core;
  explicit KafkaSource(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

/// One line of a message.
std::string line_of(std::string_view message);

}  // namespace bavn::input::sources::kafka
