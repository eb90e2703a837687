#include "show/web/limits.hpp"

#include <algorithm>

namespace bavn::show::web {

namespace {
constexpr Duration kMinute = std::chrono::minutes(1);
constexpr std::size_t kMost =
    20'000;  // about 2 MiB; more addresses at once are an attack, and share what is then forgotten
}  // namespace

Limits::Left Limits::left(const Minute& m, Duration now, std::int64_t quota) {
  const bool over = now - m.began >= kMinute;
  const std::int64_t used = over ? 0 : m.used;
  const auto rest = over ? kMinute : kMinute - (now - m.began);
  return {used < quota, quota, std::max<std::int64_t>(0, quota - used),
          std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(rest).count())};
}

Limits::Left Limits::take(std::string_view who, std::int64_t quota) {
  const Duration now = runtime_.steady();
  return minutes_.with([&](Minutes& all) {
    auto it = all.find(who);
    if (it == all.end()) {
      if (all.size() >= kMost) std::erase_if(all, [&](const auto& each) { return now - each.second.began >= kMinute; });
      if (all.size() >= kMost) all.clear();
      it = all.emplace(std::string(who), Minute{now, 0}).first;
    }
    Minute& m = it->second;
    if (now - m.began >= kMinute) m = {now, 0};
    if (m.used < quota) {
      ++m.used;
      Left l = left(m, now, quota);
      l.allowed = true;
      return l;
    }
    return left(m, now, quota);
  });
}

Limits::Left Limits::look(std::string_view who, std::int64_t quota) const {
  const Duration now = runtime_.steady();
  return minutes_.with([&](const Minutes& all) {
    const auto it = all.find(who);
    return left(it == all.end() ? Minute{now, 0} : it->second, now, quota);
  });
}

}  // namespace bavn::show::web
