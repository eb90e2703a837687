#include "base/metrics.hpp"

#include <fmt/format.h>

#include "base/json_writer.hpp"

namespace bavn {

Counter& Metrics::counter(std::string_view name, std::string_view label) {
  const std::lock_guard lock(mutex_);
  return counters_[{std::string(name), std::string(label)}];
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  std::string_view last;
  for (const auto& [key, counter] : counters_) {
    const auto& [name, label] = key;
    if (name != last) out += fmt::format("# TYPE bavn_{}_total counter\n", name);
    last = name;
    out += fmt::format("bavn_{}_total", name);
    if (const std::size_t is = label.find('='); is != std::string::npos) {
      out += '{';
      out.append(label, 0, is + 1);
      append_json_string(out, std::string_view(label).substr(is + 1));
      out += '}';
    }
    out += fmt::format(" {}\n", counter.value());
  }
  return out;
}

}  // namespace bavn
