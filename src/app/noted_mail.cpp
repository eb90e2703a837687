#include "app/noted_mail.hpp"

#include "base/digest.hpp"
#include "base/encoding.hpp"

namespace bavn::app {

void NotedMail::send(notify::Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) {
  beacon::LeftRequest line;
  line.purpose = "notify";
  line.method = "MAIL";
  line.host = server_;
  line.path = mail.to;
  line.bytes = static_cast<std::int64_t>(mail.to.size() + mail.subject.size() + mail.text.size());
  line.body_hash = to_hex(blake2b256(mail.text));
  left_us_.note_request(std::move(line), [&inner = inner_, mail = std::move(mail), queue,
                                          then = std::move(then)](Result<void> noted) mutable {
    if (!noted)
      return then(fail(Code::unavailable, "not sent, because what leaves could not be noted: " + noted.error().what));
    inner.send(std::move(mail), queue, std::move(then));
  });
}

}  // namespace bavn::app
