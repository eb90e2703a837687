// Any bytes as saved state: refused, or a watch that goes on noticing, tells and saves again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/hash.hpp"
#include "notice/watch.hpp"

using namespace bavn;
using namespace bavn::notice;

static std::shared_ptr<const Community> community() {
  auto c = std::make_shared<Community>();
  (void)c->add("gentofte.example", MunicipalityId{157});
  for (int i = 0; i < 4; ++i)
    (void)c->add("t" + std::to_string(i) + ".example", MunicipalityId{static_cast<std::uint16_t>(500 + i)});
  return c;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<const Community> members = community();
  Watch watch(MunicipalityId{157}, members, WatchOptions(), "key");
  // The checksum is not what is to be fuzzed.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() >= 8) {
    const std::uint64_t sum = hash64(std::string_view(bytes).substr(0, bytes.size() - 8), 0x62766e74);
    for (std::size_t i = 0; i < 8; ++i) bytes[bytes.size() - 8 + i] = static_cast<char>(sum >> (8 * i));
  }
  if (!watch.load(bytes)) return 0;
  std::vector<Noticed> out;
  for (int i = 0; i < 30; ++i) {
    const Instant at = from_micros(1'729'836'000'000'000 + i * 1'000'000);
    event::MailFact m;
    m.head.happened = at;
    m.sender = i % 3 == 0 ? "ole@t1.example" : "anna@gentofte.example";
    m.recipients = {"p" + std::to_string(i) +
                    (i % 3 == 0 ? "@gentofte.example" : "@t" + std::to_string(i % 4) + ".example")};
    m.message_id = std::to_string(i);
    m.subject = "Faktura";
    watch.feed(event::Fact(std::in_place_type<event::MailFact>, m), at, out);
    event::SignInFact s;
    s.head.happened = at;
    s.account = "anna@gentofte.example";
    s.asn = "AS" + std::to_string(i);
    s.session = "s";
    s.country = i % 2 == 0 ? "DK" : "NL";
    watch.feed(event::Fact(std::in_place_type<event::SignInFact>, s), at, out);
    event::HarmFact h;
    h.head.happened = at;
    h.account = "x@gentofte.example";
    h.message_id = std::to_string(i);
    watch.feed(event::Fact(std::in_place_type<event::HarmFact>, h), at, out);
  }
  watch.advance(from_micros(1'729'836'000'000'000 + 40LL * 24 * 3600 * 1'000'000), out);
  std::string again;
  if (!watch.save(again) || !watch.load(again)) __builtin_trap();
  return 0;
}
