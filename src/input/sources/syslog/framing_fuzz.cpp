#include "input/sources/syslog/framing.hpp"

#include <cstdlib>

#include "input/sources/listening.hpp"

// However the bytes are cut, the messages are the same, and none is longer than allowed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::input::sources::syslog;
  using bavn::input::sources::append_line;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole, parts;
  const auto collect = [](std::string& to) {
    return [&to](std::string_view m) {
      if (m.size() > 100) std::abort();
      append_line(to, m);
    };
  };
  Framer a(100), b(100);
  a.feed(bytes, collect(whole));
  const bool ended = a.finish(collect(whole));
  const std::size_t step = 1 + data[0] % 7;
  for (std::size_t at = 0; at < bytes.size(); at += step) b.feed(bytes.substr(at, step), collect(parts));
  if (b.waiting() > 100) std::abort();
  if (b.finish(collect(parts)) != ended || whole != parts) std::abort();
  return 0;
}
