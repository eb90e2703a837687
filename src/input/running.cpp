#include "input/running.hpp"

#include <mutex>
#include <set>

#include "base/log.hpp"
#include "input/sources/files/state_cursors.hpp"
#include "input/sources/files/watch.hpp"

namespace bavn::input {

namespace {
constexpr Duration kTryAgain = std::chrono::seconds(30);
}

struct RunningSources::Inner : std::enable_shared_from_this<RunningSources::Inner> {
  Inner(Runtime& r, store::State& state, Sink& s, Book& b)
      : runtime(r), sink(s), book(b), cursors(state), queue(r.queue({"files", 1, 100'000})) {}

  void consume(const sources::kafka::KafkaOptions& options) {
    auto source = sources::kafka::KafkaSource::start(runtime, sink, book, options);
    if (source) {
      kafka.push_back(*std::move(source));
      return;
    }
    not_started(options.name, source.error());
  }

  template <class Options>
  void listen(const Options& options) {
    auto source = start_listener(runtime, sink, book, options);  // of syslog or of RELP
    const std::lock_guard lock(mutex);
    if (stopped) return;
    if (source) {
      listeners.push_back(*std::move(source));
      return;
    }
    not_started(options.name, source.error());
    if (source.error().code == Code::bad_input) return;  // it will not become better by itself
    runtime.after(kTryAgain, queue, [weak = weak_from_this(), options] {
      if (const auto inner = weak.lock()) inner->listen(options);
    });
  }

  void not_started(const std::string& name, const Error& why) {
    log::warn("source_not_started", {{"source", name}, {"reason", why.what}});
    SourceReport r;
    r.source = name;
    r.state = SourceState::failing;
    r.text = why.what;
    r.at = runtime.now();
    book.say(std::move(r));
  }

  Runtime& runtime;
  Sink& sink;
  Book& book;
  sources::files::StateCursors cursors;
  const QueueId queue;
  std::mutex mutex;
  bool stopped = false;
  std::unique_ptr<sources::files::FolderWatch> watch;
  std::vector<std::unique_ptr<sources::files::FileSource>> files;
  std::vector<std::unique_ptr<sources::Listener>> listeners;
  std::vector<std::unique_ptr<sources::kafka::KafkaSource>> kafka;  // filled by start() alone
};

std::unique_ptr<RunningSources> RunningSources::start(Runtime& runtime, store::State& state, Sink& sink, Book& book,
                                                      jail::Parsers* parsers, SourcesFile file) {
  auto inner = std::make_shared<Inner>(runtime, state, sink, book);
  std::set<std::string> names;
  for (const auto& o : file.files) names.insert(o.name);
  for (const auto& o : file.syslog) names.insert(o.name);
  for (const auto& o : file.relp) names.insert(o.name);
  for (const auto& o : file.kafka) names.insert(o.name);
  for (const SourceStatus& s : book.all()) {
    const std::string& name = s.report.source;
    const std::string base = name.substr(0, name.find('/'));  // "fw/192.0.2.7" is a sender of "fw"
    if (!name.starts_with("m365.") && !name.starts_with("http.") && !names.contains(base) &&
        s.report.state != SourceState::off)
      book.retire(name);
  }
  if (!file.files.empty()) inner->watch = std::make_unique<sources::files::FolderWatch>(runtime);
  for (auto& o : file.files) {
    o.parsers = parsers;
    inner->files.push_back(sources::files::FileSource::start(runtime, inner->queue, sink, book, inner->cursors,
                                                             std::move(o), inner->watch.get()));
  }
  for (const auto& o : file.syslog) inner->listen(o);
  for (const auto& o : file.relp) inner->listen(o);
  for (const auto& o : file.kafka) inner->consume(o);
  return std::unique_ptr<RunningSources>(new RunningSources(std::move(inner)));
}

RunningSources::RunningSources(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

RunningSources::~RunningSources() {
  decltype(inner_->listeners) listeners;
  {
    const std::lock_guard lock(inner_->mutex);
    inner_->stopped = true;
    listeners = std::move(inner_->listeners);
  }
  inner_->kafka.clear();
  inner_->files.clear();
  inner_->watch.reset();
}

void RunningSources::wake() {
  for (const auto& f : inner_->files) f->wake();
}

}  // namespace bavn::input
