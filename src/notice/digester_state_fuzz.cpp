#include <cstdint>
#include <cstdlib>

#include "notice/digester.hpp"

// Saved state of digests. What is taken is saved again, read again, and works on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  using namespace bavn::notice;
  static const auto community = std::make_shared<const Community>();
  static const auto lists = std::make_shared<const HostLists>(HostLists::parse("bio.link\n", "", ""));
  Digester digester(community, lists, {}, {.remembered = 10'000, .fresh = 1'000}, Key());
  if (!digester.load({reinterpret_cast<const char*>(data), size})) return 0;
  event::MailFact mail;
  mail.recipients = {"a@b.example"};
  mail.urls = {"evil.example/x"};
  digester.feed(mail, from_micros(1'727'769'600'000'000));
  (void)digester.take(from_micros(1'727'769'600'000'000));
  std::string saved;
  digester.save(saved);
  if (!digester.load(saved)) std::abort();
  return 0;
}
