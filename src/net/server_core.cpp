#include <fmt/format.h>

#include <ctime>

#include "base/log.hpp"
#include "net/connection.hpp"

namespace bavn::net {

bool Gate::enter() {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  ++inside_;
  return true;
}

void Gate::leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) changed_.notify_all();
}

void Gate::close_and_wait() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [&] { return inside_ == 0; });
}

ServerCore::ServerCore(Runtime& r, const Router& served, ServerOptions o)
    : runtime(r), router(served), options(std::move(o)) {
  requests = counter("http_requests");
  received = counter("http_body_bytes_in");
  sent = counter("http_body_bytes_out");
}

Counter* ServerCore::counter(std::string_view name, std::string_view label) {
  return options.metrics ? &options.metrics->counter(name, label) : nullptr;
}

bool BodyHold::grow(const std::shared_ptr<ServerCore>& core, std::size_t bytes) {
  if (bytes <= bytes_) return true;
  const std::size_t more = bytes - bytes_;
  std::size_t now = core->bodies.load();
  do {
    if (now != bytes_ && now + more > core->options.bodies) return false;
  } while (!core->bodies.compare_exchange_weak(now, now + more));
  core_ = core;
  bytes_ = bytes;
  return true;
}

void BodyHold::release() {
  if (const std::size_t held = bytes_.exchange(0); held > 0) core_->bodies -= held;
}

void ServerCore::refused(std::string_view reason, std::string_view address, std::string_view detail) {
  auto it = said_.find(reason);
  if (it == said_.end()) {
    it = said_.emplace(std::string(reason), Said{}).first;
    it->second.counter = counter("http_refused", fmt::format("reason={}", reason));
    it->second.last = runtime.steady() - std::chrono::seconds(10);
  }
  Said& said = it->second;
  if (said.counter) said.counter->add();
  ++said.since;
  const Duration now = runtime.steady();
  if (now - said.last < std::chrono::seconds(10)) return;
  log::warn("http_refused", {{"reason", reason}, {"address", address}, {"detail", detail}, {"times", said.since}});
  said.last = now;
  said.since = 0;
}

const std::string& ServerCore::date() {
  const std::int64_t second = micros(runtime.now()) / 1'000'000;
  if (second != date_of_) {
    date_of_ = second;
    const std::time_t t = second;
    std::tm utc{};
    gmtime_r(&t, &utc);
    constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    date_ = fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
                        utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  }
  return date_;
}

bool ServerCore::is_revoked(const std::string& serial) {
  return !serial.empty() && options.tls && options.tls->revoked && options.tls->revoked(serial);
}

}  // namespace bavn::net
