"""From the frames of a clip to what a network sees, in steps that a preset declares.

    reels            frames in files, one after the other: a list, a folder, a video
    alignment        the face of the first frame, upright and cropped; every frame likewise
    magnification    small motions made larger, frame by frame
    apex             the frame of the largest motion, where no annotation names one
    steps            all of it for one clip, in memory that does not grow with its length
    cache            what was prepared once, on disk
    sets             the clips of a data set, prepared

`config.Pipeline` says which steps, and is part of the key under which a result is kept.
"""
