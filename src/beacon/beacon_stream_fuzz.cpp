#include <cstddef>
#include <cstdint>

#include "beacon/follower.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::beacon;
  static constexpr const char* kinds[] = {"hello", "entry", "base", "anchor", "live", "tick"};
  FollowerOptions options;
  options.check = [](std::string_view s) -> bavn::Result<CertifiedKey> {
    return CertifiedKey{{}, s.size(), {}, bavn::from_micros(1LL << 60)};
  };
  Follower follower(std::move(options), {}, [](std::uint64_t) { return std::uint64_t{0}; });
  follower.start({});
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {  // a kind, then its data up to the end of the line
    const auto end = rest.find('\n');
    const std::string line(rest.substr(1, end == std::string_view::npos ? end : end - 1));
    follower.on_event({}, {"1.1", kinds[static_cast<unsigned char>(rest[0]) % 6], line});
    follower.on_applied({}, {});
    (void)follower.take();
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  return 0;
}
