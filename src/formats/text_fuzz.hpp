#pragma once
// What the text readers' fuzzers share: the input's lines go through one reader (its state kept), the sink checks what must hold.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "formats/line_reader.hpp"

namespace bavn::formats {

struct FuzzSink final : FieldSink {
  std::size_t bytes = 0;
  int times = 0;
  void put(std::string_view name, std::string_view value) override {
    BAVN_ASSERT(!name.empty());
    for (const char c : value)
      bytes += static_cast<unsigned char>(c);  // reads every byte: a dangling view is seen by ASan
  }
  void happened(Instant) override { BAVN_ASSERT(++times == 1); }
};

inline int fuzz_lines(LineReader& reader, const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  reader.reset();
  reader.set_reference(from_micros(1'770'000'000'000'000));
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string line(rest.substr(0, end));  // its own allocation: reading past the end is seen
    FuzzSink sink;
    std::string reason;
    reader.likelihood(line);
    const LineVerdict v = reader.read(line, sink, reason);
    BAVN_ASSERT(v == LineVerdict::event || v == LineVerdict::meta || !reason.empty());
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return 0;
}

}  // namespace bavn::formats
