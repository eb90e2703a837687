#include "base/memory_links.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace bavn {

/// Both ends of one link. Side 0 dialled, side 1 listened.
struct MemoryLinks::Connection {
  struct Side {
    QueueId queue;
    LinkEvents events;         // used only by tasks on `queue`
    Duration last_arrival{0};  // keeps messages in order whatever their delays
  };
  struct State {
    std::array<Side, 2> sides;
    bool open = true;
    bool ending = false;  // nothing more is sent; what is on its way arrives, then it is cut
  };
  Guarded<State> state;
};

namespace {

bool happens(Runtime& runtime, double chance) {
  return chance > 0 && static_cast<double>(runtime.random_below(1'000'000)) < chance * 1'000'000;
}

}  // namespace

class MemoryLinks::End : public Link {
 public:
  End(Runtime& runtime, std::shared_ptr<Guarded<Weather>> weather, std::shared_ptr<Connection> connection,
      std::size_t side)
      : runtime_(runtime), weather_(std::move(weather)), connection_(std::move(connection)), side_(side) {}

  bool send(std::string message) override {
    const Weather weather = weather_->with([](const Weather& w) { return w; });
    if (happens(runtime_, weather.cut)) {
      if (weather.earlier_arrive) end_later();
      else cut(runtime_, connection_);
      return true;  // the sender does not know yet
    }
    const int copies = happens(runtime_, weather.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Duration delay = weather.min_delay;
      if (weather.max_delay > weather.min_delay)
        delay += Duration(static_cast<std::int64_t>(
            runtime_.random_below(static_cast<std::uint64_t>((weather.max_delay - weather.min_delay).count()) + 1)));
      if (!deliver(delay, message)) return false;
    }
    return true;
  }
  void close() override { cut(runtime_, connection_); }

 private:
  void end_later() {
    connection_->state.with([&](Connection::State& s) {
      if (!s.open || std::exchange(s.ending, true)) return;
      const Connection::Side& there = s.sides[1 - side_];
      runtime_.after(std::max(there.last_arrival - runtime_.steady(), Duration(0)), there.queue,
                     [&runtime = runtime_, connection = connection_] { cut(runtime, connection); });
    });
  }
  bool deliver(Duration delay, std::string message) {
    return connection_->state.with([&](Connection::State& s) {
      if (!s.open) return false;
      if (s.ending) return true;  // lost, and the sender does not know yet
      Connection::Side& there = s.sides[1 - side_];
      const Duration now = runtime_.steady();
      there.last_arrival = std::max(there.last_arrival, now + delay);
      // A queue's order is the order of posting; timers of equal time keep theirs too (Runtime's promise).
      runtime_.after(
          there.last_arrival - now, there.queue,
          [connection = connection_, to = 1 - side_, m = std::move(message)]() mutable {
            const bool open = connection->state.with([](const Connection::State& state) { return state.open; });
            auto& handler =
                connection->state.with([&](Connection::State& state) { return &state.sides[to].events; })->on_message;
            if (open && handler) handler(std::move(m));
          });
      return true;
    });
  }

  Runtime& runtime_;
  std::shared_ptr<Guarded<Weather>> weather_;
  std::shared_ptr<Connection> connection_;
  const std::size_t side_;
};

void MemoryLinks::cut(Runtime& runtime, const std::shared_ptr<Connection>& connection) {
  const bool was_open = connection->state.with([](Connection::State& s) { return std::exchange(s.open, false); });
  if (!was_open) return;
  for (std::size_t side : {0U, 1U}) {
    const QueueId queue = connection->state.with([&](const Connection::State& s) { return s.sides[side].queue; });
    runtime.after(Duration(0), queue, [connection, side] {
      auto* events = connection->state.with([&](Connection::State& s) { return &s.sides[side].events; });
      if (events->on_cut) events->on_cut();
      *events = {};  // what the handlers hold may hold the link: let go
    });
  }
}

MemoryLinks::MemoryLinks(Runtime& runtime) : runtime_(runtime), weather_(std::make_shared<Guarded<Weather>>()) {}
MemoryLinks::~MemoryLinks() {
  // A handler may hold its own link, and the link holds the handlers: undo the ring. Nothing runs any more at this time.
  std::vector<std::weak_ptr<Connection>> all = orphans_.with([](auto& orphans) { return std::move(orphans); });
  listeners_.with([&](auto& listeners) {
    for (auto& [address, listener] : listeners)
      all.insert(all.end(), listener.connections.begin(), listener.connections.end());
  });
  for (const auto& weak : all)
    if (const auto connection = weak.lock()) {
      auto handlers = connection->state.with([](Connection::State& s) {
        s.open = false;
        return std::pair(std::exchange(s.sides[0].events, {}), std::exchange(s.sides[1].events, {}));
      });
    }
}

Result<void> MemoryLinks::listen(std::string address, QueueId queue, OnLink on_link) {
  return listeners_.with([&](auto& listeners) -> Result<void> {
    const auto [it, added] = listeners.try_emplace(address);
    if (!added) return fail(Code::conflict, fmt::format("somebody listens at {} already", address));
    it->second.queue = queue;
    it->second.on_link = std::make_shared<OnLink>(std::move(on_link));
    return {};
  });
}

void MemoryLinks::unlisten(std::string_view address) {
  std::vector<std::weak_ptr<Connection>> to_cut;
  std::shared_ptr<OnLink> dead;  // what it captured may call us: it dies outside the lock
  listeners_.with([&](auto& listeners) {
    const auto it = listeners.find(address);
    if (it == listeners.end()) return;
    to_cut = std::move(it->second.connections);
    dead = std::move(it->second.on_link);
    listeners.erase(it);
  });
  orphans_.with([&](auto& orphans) {
    std::erase_if(orphans, [](const auto& o) { return o.expired(); });
    orphans.insert(orphans.end(), to_cut.begin(), to_cut.end());
  });
  for (const auto& weak : to_cut)
    if (auto connection = weak.lock()) cut(runtime_, connection);
}

Result<std::shared_ptr<Link>> MemoryLinks::connect(std::string_view address, QueueId queue, LinkEvents events) {
  auto connection = std::make_shared<Connection>();
  QueueId there{};
  std::shared_ptr<OnLink> on_link;
  const bool reached = listeners_.with([&](auto& listeners) {
    const auto it = listeners.find(address);
    if (it == listeners.end() || !it->second.reachable) return false;
    there = it->second.queue;
    on_link = it->second.on_link;
    std::erase_if(it->second.connections, [](const auto& c) { return c.expired(); });
    it->second.connections.push_back(connection);
    return true;
  });
  if (!reached) return fail(Code::unavailable, fmt::format("nobody answers at {}", address));
  connection->state.with([&](Connection::State& s) {
    s.sides[0] = {queue, std::move(events), {}};
    s.sides[1].queue = there;
  });
  // Posted before any message can be, so the listener's handlers are in place when the first arrives.
  runtime_.after(Duration(0), there, [this, connection, on_link] {
    if (!connection->state.with([](const Connection::State& s) { return s.open; }))
      return;  // cut before it was accepted
    LinkEvents accepted = (*on_link)(std::make_shared<End>(runtime_, weather_, connection, 1));
    auto* mine = connection->state.with([](Connection::State& s) { return &s.sides[1].events; });
    *mine = std::move(accepted);
  });
  return std::make_shared<End>(runtime_, weather_, connection, 0);
}

void MemoryLinks::set_weather(Weather weather) {
  weather_->with([&](Weather& w) { w = weather; });
}

void MemoryLinks::set_reachable(const std::string& address, bool reachable) {
  std::vector<std::weak_ptr<Connection>> to_cut;
  listeners_.with([&](auto& listeners) {
    const auto it = listeners.find(address);
    if (it == listeners.end()) return;
    it->second.reachable = reachable;
    if (!reachable) to_cut = it->second.connections;
  });
  for (const auto& weak : to_cut)
    if (auto connection = weak.lock()) cut(runtime_, connection);
}

}  // namespace bavn
