#include "input/sources/kafka/kafka.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <set>

#include "base/eventually.hpp"
#include "base/threads.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources::kafka {
namespace {

using input::testing::FakeBook;
using input::testing::FakeSink;

/// librdkafka's own broker in this process, and a producer to it.
class KafkaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string trouble(512, '\0');
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, [](const rd_kafka_t*, int, const char*, const char*) {});
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, trouble.data(), trouble.size());
    ASSERT_NE(producer, nullptr) << trouble;
    cluster = rd_kafka_mock_cluster_new(producer, 1);
    ASSERT_NE(cluster, nullptr);
    ASSERT_EQ(rd_kafka_mock_topic_create(cluster, "logs", 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_GT(rd_kafka_brokers_add(producer, rd_kafka_mock_cluster_bootstraps(cluster)), 0);
    options.name = "kafka";
    options.brokers = rd_kafka_mock_cluster_bootstraps(cluster);
    options.group = "bavn";
    options.topics = {"logs"};
    // A group that changes is settled after about a session; a member that was evicted while it joined (a machine that stood still) hears
    // no answer from this broker, and asks again when `unasked` is over.
    options.session = std::chrono::seconds(6);
    options.unasked = std::chrono::seconds(15);
  }
  void TearDown() override {
    rd_kafka_flush(producer, 10'000);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(producer);
  }
  void produce(int partition, const std::string& value) {
    ASSERT_EQ(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("logs"), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void numbered(int from, int to) {
    for (int n = from; n < to; ++n) produce(n % 2, fmt::format("{{\"n\":{}}}", n));
    ASSERT_EQ(rd_kafka_flush(producer, 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  /// Longer than an answer of the group is waited for.
  static bool until(const std::function<bool()>& condition) { return eventually(condition, std::chrono::seconds(60)); }
  std::unique_ptr<KafkaSource> start(FakeSink& sink) {
    auto source = KafkaSource::start(runtime, sink, book, options);
    EXPECT_TRUE(source) << to_string(source.error());
    return source ? *std::move(source) : nullptr;
  }
  static std::set<std::string> distinct(const FakeSink& sink) {
    const auto lines = sink.lines();
    return {lines.begin(), lines.end()};
  }

  Threads runtime;
  FakeBook book;
  rd_kafka_t* producer = nullptr;
  rd_kafka_mock_cluster_t* cluster = nullptr;
  KafkaOptions options;
};

TEST_F(KafkaTest, EveryMessageComesOnceAndTheNextLifeGoesOnWhereTheLastEnded) {
  FakeSink sink(runtime);
  numbered(0, 500);
  {
    const auto source = start(sink);
    EXPECT_TRUE(until([&] { return sink.count() == 500; })) << sink.count() << " " << book.last("kafka").text;
    EXPECT_TRUE(until([&] { return book.last("kafka").state == SourceState::working; }));
    numbered(500, 700);
    EXPECT_TRUE(until([&] { return sink.count() == 700; })) << sink.count();
  }
  numbered(700, 800);
  const auto source = start(sink);
  EXPECT_TRUE(until([&] { return distinct(sink).size() == 800; })) << distinct(sink).size();
  EXPECT_EQ(sink.count(), 800U) << "what was stored before an orderly stop is not read again";
  for (const Delivery& d : sink.stored()) EXPECT_TRUE(d.line_is_record && d.id.starts_with("kafka:logs/"));
}

TEST_F(KafkaTest, AnOffsetIsNotCommittedBeforeTheSinkHasTheMessage) {
  numbered(0, 100);
  {
    FakeSink full(runtime);
    full.set_full(100);
    const auto source = start(full);
    EXPECT_TRUE(until([&] { return book.last("kafka").state == SourceState::waiting; }));
    EXPECT_EQ(full.count(), 0U);
  }
  FakeSink sink(runtime);
  const auto source = start(sink);
  EXPECT_TRUE(until([&] { return sink.count() == 100; })) << sink.count();
}

TEST_F(KafkaTest, ASinkThatIsOftenFullLosesAndDoublesNothing) {
  FakeSink sink(runtime);
  sink.set_full(60);
  options.round_messages = 40;
  numbered(0, 200);
  const auto source = start(sink);
  EXPECT_TRUE(until([&] { return sink.count() == 200; })) << sink.count();
  EXPECT_EQ(distinct(sink).size(), 200U);
}

TEST_F(KafkaTest, TwoConsumersOfAGroupShareThePartitionsAndOneTakesOverWhenTheOtherGoes) {
  FakeSink sink(runtime);
  auto first = start(sink);
  numbered(0, 100);
  EXPECT_TRUE(until([&] { return distinct(sink).size() == 100; })) << distinct(sink).size();
  auto second = start(sink);
  numbered(100, 200);
  EXPECT_TRUE(until([&] { return distinct(sink).size() == 200; })) << distinct(sink).size();
  first.reset();
  numbered(200, 300);
  EXPECT_TRUE(until([&] { return distinct(sink).size() == 300; })) << distinct(sink).size();
}

TEST_F(KafkaTest, AFullSinkGivesItsPartitionsToWhoComesAndDoublesNothing) {
  FakeSink full(runtime), sink(runtime);
  full.set_full(1'000'000);
  numbered(0, 100);
  auto first = start(full);
  EXPECT_TRUE(until([&] { return book.last("kafka").state == SourceState::waiting; }));
  const auto second = start(sink);
  EXPECT_TRUE(until([&] { return sink.count() >= 50; })) << "a partition of the two: " << sink.count();
  first.reset();
  EXPECT_TRUE(until([&] { return sink.count() >= 100; })) << sink.count();
  EXPECT_EQ(distinct(sink).size(), 100U);
  EXPECT_EQ(sink.count(), 100U);
  EXPECT_EQ(full.count(), 0U);
}

TEST_F(KafkaTest, AClusterThatDoesNotAnswerIsSaidAndABadOptionIsRefused) {
  FakeSink sink(runtime);
  options.brokers = "127.0.0.1:1";
  const auto source = start(sink);
  EXPECT_TRUE(until([&] { return book.last("kafka").state == SourceState::failing; }));
  EXPECT_TRUE(book.last("kafka").text.starts_with("Kafka: ")) << book.last("kafka").text;
  options.user = "bavn";
  options.mechanism = "MADE-UP";
  EXPECT_EQ(KafkaSource::start(runtime, sink, book, options).error().code, Code::bad_input);
}

TEST(KafkaLine, AMessageIsOneLine) {
  EXPECT_EQ(line_of("{\n \"a\": 1\r\n}\n"), "{  \"a\": 1  }");
  EXPECT_EQ(line_of("first\r\nsecond"), "first#012second");
  EXPECT_EQ(line_of("\n"), "");
}

}  // namespace
}  // namespace bavn::input::sources::kafka
