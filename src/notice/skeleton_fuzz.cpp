#include <cstdint>
#include <cstdlib>

#include "event/masked.hpp"
#include "event/observable.hpp"
#include "notice/digest_skeleton.hpp"

// Links of hostile mail: whatever stands there, the hub would take what is shown, and no query gets into it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  using namespace bavn::notice;
  static const HostLists lists = HostLists::parse("bio.link\ndocs.google.com\ndocs.google.com/forms/d/e\n", "", "");
  static const std::vector<std::string> who = {"jens.hansen@town.example"};
  static const Names names(who);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = event::canonical(event::Kind::url, text))
    if (const auto s = skeleton_of(url->value, lists, names))
      if (!event::check_shown_host(s->host) || !event::check_shown_path(s->path)) std::abort();
  if (!event::check_shown_file_name(shown_file_name(text, names))) std::abort();
  (void)subject_shape(text, names);
  return 0;
}
