#include <cstdint>

#include "act/purge_graph.hpp"

// Answers of a mail service: whatever is in them, only mails with the Message-ID that was asked for come out.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bavn::act::read_mails(text, "a@b.example");
  (void)bavn::act::read_moved(text);
  (void)bavn::act::read_place(text, {"net-1", "p@b.example"});
  if (const auto id = bavn::act::plain_message_id(text)) (void)bavn::act::find_mail("p@b.example", *id, true);
  return 0;
}
