#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "net/body_plan.hpp"
#include "net/content_coding.hpp"
#include "net/http.hpp"
#include "net/url.hpp"

// Targets, URLs, ranges and encoded bodies; the first byte says which.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::net;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      if (const auto r = request_for(Method::get, text); r && !r->path.starts_with('/')) std::abort();
      if (const auto d = percent_decoded(text); d && percent_decoded(percent_encoded(*d)) != d) std::abort();
      break;
    case 1:
      if (const auto u = parse_url(text); u && (u->host.empty() || u->port == 0)) std::abort();
      break;
    case 2: {
      Request request;
      request.headers.set("Range", std::string(text));
      Reply reply;
      reply.file = FileBody{};
      const BodyPlan plan = plan_body(request, reply, 1000);
      if (plan.offset + plan.length > 1000) std::abort();
      break;
    }
    case 3:
      if (const auto s = gunzip(text, 10'000); s && s->size() > 10'000) std::abort();
      break;
    default:
      if (const auto s = unzstd(text, 10'000); s && s->size() > 10'000) std::abort();
  }
  return 0;
}
