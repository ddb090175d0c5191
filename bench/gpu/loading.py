"""How fast batches come, and how long a step waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, count

from bench.gpu.ceilings import synchronize, timed
from bench.gpu.record import Record
from bench.gpu.setting import Setting
from bench.gpu.steps import prepared, warm_up, ways
from bench.measure import wall
from handpose.cores import usable_cores
from handpose.data.loading import AUTOMATIC, Loading
from handpose.sample import HandBatch


def loader(setting: Setting, record: Record) -> None:
    """Augmented batches of 256 by the number of processes; none is today's threads."""
    cores = usable_cores()
    numbers = [AUTOMATIC, 0, 4, 8, cores - 1]
    for workers in dict.fromkeys(n for n in numbers if n < cores):
        with Loading.on(setting.device, workers=workers) as loading:
            batches = endless(setting, setting.size(256, 8), loading)
            begun = wall()
            next(batches)
            first_s = wall() - begun
            for _ in range(setting.size(20, 2)):  # those begun ahead of time are not counted
                next(batches)
            synchronize(setting.device)
            images, begun = 0, wall()
            while wall() - begun < setting.size(5, 1):
                images += len(next(batches))
            synchronize(setting.device)
            name = "automatic" if workers == AUTOMATIC else f"{workers} processes"
            record.add(name, images_s=images / (wall() - begun), first_batch_s=first_s)


def fed(setting: Setting, record: Record) -> None:
    """Stage 1's and Stage 2's steps on batches of the loader, beside those on one batch."""
    for stage, batch_size in (("pretrain", setting.size(256, 8)), ("pose", setting.size(256, 8))):
        with Loading.on(setting.device) as loading:
            step = prepared(setting, stage, ways(setting, "graph")[0])
            batches = endless(setting, batch_size, loading)
            warm_up(step, next(batches), setting)
            same = next(batches)
            for _ in range(setting.size(20, 1)):
                step(next(batches))
            alone_s = timed(partial(step, same), setting.size(30, 1), setting.device)
            waited, images = 0.0, 0
            synchronize(setting.device)
            begun = wall()
            while wall() - begun < setting.size(8, 1):
                asked = wall()
                batch = next(batches)
                waited += wall() - asked
                step(batch)
                images += len(batch)
            synchronize(setting.device)
            fed_s = (wall() - begun) / images
            record.add(
                f"{stage}, batch {batch_size}",
                images_s=1 / fed_s,
                images_s_on_one_batch=batch_size / alone_s,
                waiting=max(0.0, 1 - alone_s / batch_size / fed_s),
                host_waiting=waited / (wall() - begun),
            )


def endless(setting: Setting, batch: int, loading: Loading) -> Iterator[HandBatch]:
    """Epoch after epoch, as training reads them."""
    return chain.from_iterable(setting.batches(batch, loading, epoch) for epoch in count())
