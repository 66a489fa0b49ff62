"""Messages by the hundred, for tests in which it matters that some are under way."""
import threading
import time

from _world import MINUTE, check_in, enroll, now_ms, report


class Traffic:
    """Messages of a small fleet, a hundred a second, as long as it is on."""

    def __init__(self, world, devices):
        self.world, self.devices, self.count, self.is_over = world, devices, 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.is_over:
            serial = f"T-{self.count % self.devices:03}"
            kind = (enroll, check_in, report)[min(self.count // self.devices, 2)]
            at = now_ms()
            event = report(serial, at, pin=self.count % 7) if kind is report else kind(serial, at)
            self.world.producer.produce(self.world.prefix + event.topic, event.value, event.key, timestamp=at)
            self.world.producer.poll(0)
            self.count += 1
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        assert self.world.producer.flush(60) == 0


def fleet(prefix, devices, rounds, start):
    """Enrolled devices that say something new every minute."""
    events = []
    for device in range(devices):
        serial = f"{prefix}-{device:04}"
        events += [enroll(serial, start), check_in(serial, start + 1)]
    for n in range(rounds):
        events += [report(f"{prefix}-{device:04}", start + (n + 1) * MINUTE, pin=n % 2 * 6)
                   for device in range(devices)]
    return events
